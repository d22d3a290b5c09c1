"""The runs of `mailriver rebuild`, kept in the database that is rebuilt."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec
import psycopg

from services.runtime import postgres
from services.runtime.errors import Fatal
from services.storage.adapters.errors import translated
from services.storage.adapters.migrations import require_schema
from services.storage.adapters.queries import query

_ADVISORY_LOCK = 0x72656275  # "rebu"; any number will do that nobody else uses
_OPTIONS = "-c statement_timeout=30s -c timezone=UTC"


class Run(msgspec.Struct, frozen=True):
    """One rebuild, from its begin to its end, however often it is interrupted."""

    id: str
    began_at: datetime
    is_new: bool


class Runs:
    """The runs of one database: one process at a time. A context manager that lets the next one in."""

    def __init__(self, dsn: str, topic: str) -> None:
        """Connects. Blocks for 10 s at most. ``topic``: with its prefix.

        Raises:
            Transient: the database is away.
            Fatal: it refuses the role, is not migrated, or is being rebuilt by another process.

        """
        self._dsn, self._topic = dsn, topic
        try:
            self._connection = postgres.connect(dsn, "mailriver-rebuild", options=_OPTIONS)
            self._enter(self._connection)
        except psycopg.Error as error:
            raise translated(error) from error

    def _enter(self, connection: psycopg.Connection) -> None:
        require_schema(connection)
        # The lock goes with the connection, also if this process is killed.
        if connection.execute("SELECT pg_try_advisory_lock(%s)", (_ADVISORY_LOCK,)).fetchone() != (True,):
            connection.close()
            raise Fatal("another `mailriver rebuild` of this database is running; stop it, or wait for its end")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def begin(self, run_id: str, *, restart: bool) -> Run:
        """The run that has not ended, or a new one with this id. With ``restart`` an unfinished one is forgotten.

        Raises:
            Transient, Fatal: as when it was opened.

        """
        try:
            if restart:
                self._connection.execute(query("forget_rebuild"), {"topic": self._topic})
            found = self._connection.execute(query("begin_rebuild"), {"topic": self._topic, "id": run_id}).fetchone()
        except psycopg.Error as error:
            raise translated(error) from error
        if found is None:
            raise Fatal("the run of this rebuild was removed by somebody else; start it again")
        return Run(found[0], found[1], found[0] == run_id)

    def end(self, run: Run) -> None:
        """The run has come to its end: the next one begins anew. Over a new connection, since it may have taken hours.

        Raises:
            Transient, Fatal: as when it was opened.

        """
        try:
            with postgres.connect(self._dsn, "mailriver-rebuild", options=_OPTIONS) as connection:
                connection.execute(query("end_rebuild"), {"id": run.id})
        except psycopg.Error as error:
            raise translated(error) from error
