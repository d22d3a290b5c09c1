"""The runner of the numbered SQL files in ``services/storage/migrations``.

A file is named ``<number>_<stage>_<what>.sql``. ``pre`` files are safe while the last version still runs and
come before a rollout, ``post`` files come after it. Each is one transaction, recorded with its checksum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec
import psycopg

from services.runtime.errors import Fatal, MailriverError, Transient
from services.storage.adapters.errors import translated

_ADVISORY_LOCK = 0x6D61696C  # "mail"; any number will do that nobody else uses
_NAME = re.compile(r"(\d{4})_(pre|post)_\w+\.sql")

_CREATE_RECORDS = """
CREATE SCHEMA IF NOT EXISTS mailriver;
CREATE TABLE IF NOT EXISTS mailriver.schema_migrations (
  number integer PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
"""


class MigrationError(Fatal):
    """The database and the migrations of this version do not belong together."""


class Stage(StrEnum):
    """When a migration may run."""

    PRE = "pre"
    POST = "post"


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    number: int
    stage: Stage
    name: str
    sql: bytes

    @property
    def checksum(self) -> str:
        """SHA-256 of the text in hex, whatever its line ends."""
        return hashlib.sha256(self.sql.replace(b"\r\n", b"\n")).hexdigest()


@cache
def shipped() -> tuple[Migration, ...]:
    """The migrations of this version by number."""
    found = [
        Migration(int(match[1]), Stage(match[2]), match[0], entry.read_bytes())
        for entry in (files("services.storage") / "migrations").iterdir()
        if (match := _NAME.fullmatch(entry.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.number))


def expected_version() -> int:
    """The least schema version that this code needs: the number of its last ``pre`` migration."""
    return max(migration.number for migration in shipped() if migration.stage is Stage.PRE)


def schema_version(connection: psycopg.Connection) -> int:
    """The number of the last applied migration; 0 where there is none. Raises psycopg's errors."""
    return max(_applied(connection), default=0)


def require_schema(connection: psycopg.Connection) -> None:
    """Close the connection and raise Fatal if the tables are older than this version needs them."""
    if schema_version(connection) < expected_version():
        connection.close()
        raise Fatal("the database's tables are older than this version; run `mailriver migrate`")


def pending(dsn: str) -> list[str]:
    """The names of the files that ``migrate`` would apply; raises as it does."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return [migration.name for migration in _pending(_applied(connection), shipped())]
    except psycopg.Error as error:
        raise _failed(error) from error


def migrate(
    dsn: str,
    *,
    report: Callable[[str], None],
    stage: Stage | None = None,
    migrations: Sequence[Migration] | None = None,
) -> list[str]:
    """Bring a database up to date; answers the names of the files that were applied.

    Tells ``report`` each name before it is applied. With ``Stage.PRE`` the ``post`` files at the end are left
    for later; ``post`` files before a ``pre`` one belong to an earlier version and are applied. Runners that are
    started together wait for each other. Raises ``MigrationError`` and changes nothing if an applied file has
    changed since or the database is newer than this version; ``Transient`` if it is away or busy.
    """
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
            # The lock goes with the connection.
            with connection.transaction():
                connection.execute(_CREATE_RECORDS)
            todo = _pending(_applied(connection), shipped() if migrations is None else migrations)
            if stage is Stage.PRE:
                todo = _without_last_posts(todo)
            return [_apply(connection, migration, report) for migration in todo]
    except psycopg.Error as error:
        raise _failed(error) from error


def _apply(connection: psycopg.Connection, migration: Migration, report: Callable[[str], None]) -> str:
    report(migration.name)
    with connection.transaction():
        # Rather fail and be tried again than queue everybody behind a lock that does not come.
        connection.execute("SET LOCAL lock_timeout = '15s'")
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO mailriver.schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.checksum),
        )
    return migration.name


def _applied(connection: psycopg.Connection) -> dict[int, tuple[str, str]]:
    """Name and checksum of what is recorded, by number."""
    known = connection.execute("SELECT to_regclass('mailriver.schema_migrations') IS NOT NULL").fetchone()
    if known is None or not known[0]:
        return {}
    rows = connection.execute("SELECT number, name, checksum FROM mailriver.schema_migrations")
    return {number: (name, checksum) for number, name, checksum in rows}


def _pending(applied: dict[int, tuple[str, str]], migrations: Sequence[Migration]) -> list[Migration]:
    ours = {migration.number: migration for migration in migrations}
    for number, (name, checksum) in sorted(applied.items()):
        migration = ours.get(number)
        if migration is None:
            raise MigrationError(
                f"The database is newer than this version of Mailriver: it has {name}, which this version does not "
                f"know. Install the version that applied it, or a later one."
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"{migration.name} has changed since it was applied to this database (as {name}). Restore the file "
                f"and put the change into a new migration."
            )
    return [migration for migration in migrations if migration.number not in applied]


def _without_last_posts(todo: list[Migration]) -> list[Migration]:
    last = max((place for place, migration in enumerate(todo) if migration.stage is Stage.PRE), default=-1)
    return todo[: last + 1]


def _failed(error: psycopg.Error) -> MailriverError:
    raised = translated(error)
    if isinstance(raised, Transient):
        return raised
    return MigrationError(
        f"The database refuses the migration: {raised} The role has to own the database or its schema mailriver."
    )
