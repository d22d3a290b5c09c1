"""The migrations' runner, on databases without anything."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, Thread

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.runtime.errors import Transient
from services.storage.adapters.migrations import (
    Migration,
    MigrationError,
    Stage,
    expected_version,
    migrate,
    pending,
    schema_version,
    shipped,
)
from tests.support.storage import empty_database

pytestmark = pytest.mark.integration


def say_nothing(_: str) -> None:
    """For runs whose report is not what is tested."""


@pytest.fixture
def empty_url(database_url: str) -> Iterator[str]:
    with empty_database(database_url) as dsn:
        yield dsn


def version(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return schema_version(connection)


def following(stage: Stage, number: int, sql: str) -> Migration:
    return Migration(number, stage, f"{number:04}_{stage}_test.sql", sql.encode())


def test_all_are_applied_in_order_from_nothing_and_reported(empty_url: str) -> None:
    names = [migration.name for migration in shipped()]
    assert version(empty_url) == 0
    assert pending(empty_url) == names
    told: list[str] = []
    assert migrate(empty_url, report=told.append) == told == names
    assert version(empty_url) == shipped()[-1].number >= expected_version()
    assert pending(empty_url) == []


def test_a_second_run_applies_nothing(empty_url: str) -> None:
    migrate(empty_url, report=say_nothing)
    assert migrate(empty_url, report=say_nothing) == []


def test_runners_that_start_together_wait_for_each_other(empty_url: str) -> None:
    barrier = Barrier(4)
    applied: list[list[str]] = []

    def run() -> None:
        barrier.wait(timeout=60)
        applied.append(migrate(empty_url, report=say_nothing))

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], [], [], [migration.name for migration in shipped()]]


def test_a_file_that_changed_after_it_was_applied_is_refused(empty_url: str) -> None:
    migrate(empty_url, report=say_nothing)
    changed = [*shipped()[:-1], msgspec.structs.replace(shipped()[-1], sql=b"SELECT 1")]
    with pytest.raises(MigrationError, match=f"{shipped()[-1].name} has changed"):
        migrate(empty_url, report=say_nothing, migrations=changed)


def test_other_line_ends_are_no_change(empty_url: str) -> None:
    migrate(empty_url, report=say_nothing)
    with_crlf = [msgspec.structs.replace(each, sql=each.sql.replace(b"\n", b"\r\n")) for each in shipped()]
    assert migrate(empty_url, report=say_nothing, migrations=with_crlf) == []


def test_a_database_that_is_newer_than_the_code_is_refused(empty_url: str) -> None:
    migrate(empty_url, report=say_nothing, migrations=[*shipped(), following(Stage.PRE, 9000, "SELECT 1")])
    with pytest.raises(MigrationError, match="newer than this version"):
        migrate(empty_url, report=say_nothing)
    with pytest.raises(MigrationError, match="newer than this version"):
        pending(empty_url)


def test_a_file_that_fails_leaves_nothing_behind_and_those_before_it_stay(empty_url: str) -> None:
    broken = following(Stage.PRE, 9000, "CREATE TABLE mailriver.half (id int); SELECT 1 / 0")
    with pytest.raises(MigrationError, match="division by zero"):
        migrate(empty_url, report=say_nothing, migrations=[*shipped(), broken])
    assert version(empty_url) == shipped()[-1].number
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT to_regclass('mailriver.half')").fetchone() == (None,)


def test_before_a_rollout_the_last_post_files_are_left_out(empty_url: str) -> None:
    old_post = following(Stage.POST, 9000, "SELECT 1")
    pre = following(Stage.PRE, 9001, "SELECT 1")
    new_post = following(Stage.POST, 9002, "SELECT 1")
    migrations = [*shipped(), old_post, pre, new_post]
    assert migrate(empty_url, report=say_nothing, stage=Stage.PRE, migrations=migrations)[-2:] == [
        old_post.name,
        pre.name,
    ]
    assert migrate(empty_url, report=say_nothing, migrations=migrations) == [new_post.name]


def test_a_database_that_is_away_is_transient() -> None:
    with pytest.raises(Transient):
        migrate("host=127.0.0.1 port=1 dbname=nowhere connect_timeout=5", report=say_nothing)


def test_a_role_that_owns_the_database_is_enough(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        database = connection.info.dbname
        role = f"owner_of_{database}"
        as_owner = make_conninfo(empty_url, options=f"-c role={role}")
        connection.execute(f'CREATE ROLE "{role}"')
        connection.execute(f'ALTER DATABASE "{database}" OWNER TO "{role}"')
        try:
            assert migrate(as_owner, report=say_nothing) == [migration.name for migration in shipped()]
        finally:
            connection.execute(f'ALTER DATABASE "{database}" OWNER TO CURRENT_USER')
            connection.execute(f'DROP OWNED BY "{role}" CASCADE')
            connection.execute(f'DROP ROLE "{role}"')
