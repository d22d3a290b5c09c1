"""The counters of emails and members equal a recount, whoever writes the rows."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import psycopg
import pytest
from psycopg import errors

from services.contracts.events import EmailClicked, EmailOpened
from services.storage.adapters import arrays
from services.storage.adapters.migrations import migrate, shipped
from services.storage.adapters.postgres import PostgresStore
from services.storage.adapters.rows import apply_rows
from services.storage.core.part import Part
from tests.support.counters import drifted, email_counters, member_counters, miscounted
from tests.support.storage import NOON, bounced, delivered, empty_database, event, received, seed
from tests.support.waiting import await_lock

pytestmark = pytest.mark.integration


@pytest.fixture
def application(database_url: str) -> Iterator[psycopg.Connection]:
    """The sending application: an email with r1, r2, r3 and their members, and an untracked one with u1 of m-r1."""
    seed(database_url, ["r1", "r2", "r3"])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO mailriver.members (id, email) SELECT 'm-' || id, id || '@example.com' "
            "FROM unnest(ARRAY['r1', 'r2', 'r3']) AS given (id)"
        )
        connection.execute(
            "INSERT INTO mailriver.emails (id, subject, track_opens, submitted_at) VALUES ('e2', 'News', false, now())"
        )
        connection.execute(
            "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) "
            "VALUES ('u1', 'e2', 'm-r1', 'r1@example.com')"
        )
        yield connection


@pytest.fixture
def store(database_url: str, application: psycopg.Connection) -> Iterator[PostgresStore]:
    store = PostgresStore(database_url, "email.events")
    yield store
    store.close()


def test_events_are_counted_once_for_their_email_and_their_member(store: PostgresStore, database_url: str) -> None:
    batch = received([
        delivered("r1"), event(EmailOpened, "r1"), event(EmailOpened, "u1"), event(EmailClicked, "r2"), bounced("r3"),
    ])  # fmt: skip
    for _ in range(2):
        store.apply(batch)
        assert email_counters(database_url) == (3, 1, 1, 1, 1)
        assert member_counters(database_url, "m-r1") == (2, 2, 1, 1, None)
        assert drifted(database_url) == []


def test_a_failure_after_the_delivery_takes_the_delivery_back(store: PostgresStore, database_url: str) -> None:
    store.apply(received([delivered("r1")]))
    assert email_counters(database_url) == (3, 1, 0, 0, 0)
    store.apply(received([bounced("r1")], first_offset=1))
    assert email_counters(database_url) == (3, 0, 0, 0, 1)


APPLICATION_WRITES = {
    "insert": "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email, opened_at) "
    "SELECT 'n' || i, 'e1', 'm-r1', 'n' || i, now() FROM generate_series(1, 6) AS given (i)",
    "insert without member": "INSERT INTO mailriver.email_recipients (id, email_id, member_email) "
    "VALUES ('n', 'e1', 'n')",
    "upsert": "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) "
    "VALUES ('r1', 'e1', 'm-r2', 'r1@example.com') ON CONFLICT (id) DO UPDATE SET member_id = excluded.member_id",
    "update to another email": "UPDATE mailriver.email_recipients SET email_id = 'e2', member_email = id",
    "update to another member": "UPDATE mailriver.email_recipients SET member_id = 'm-r3'",
    "update to no member": "UPDATE mailriver.email_recipients SET member_id = NULL",
    "update of what events set": "UPDATE mailriver.email_recipients SET opened_at = NULL, failed_at = now()",
    "update that changes nothing": "UPDATE mailriver.email_recipients SET batch_id = 'b'",
    "delete": "DELETE FROM mailriver.email_recipients WHERE id IN ('r1', 'u1')",
    "truncate": "TRUNCATE mailriver.email_recipients CASCADE",
    "truncate emails": "TRUNCATE mailriver.emails CASCADE",
    "delete a tracked email": "DELETE FROM mailriver.emails WHERE id = 'e1'",
    "delete an untracked email": "DELETE FROM mailriver.emails WHERE id = 'e2'",
    "delete all emails": "DELETE FROM mailriver.emails",
    "track no more": "UPDATE mailriver.emails SET track_opens = false",
    "track from now on": "UPDATE mailriver.emails SET track_opens = true",
    "delete a member": "DELETE FROM mailriver.members WHERE id = 'm-r1'",
    "rename a member": "UPDATE mailriver.members SET id = 'm-r9' WHERE id = 'm-r1'",
}


@pytest.mark.drifts  # in failed_at, where the application writes what is not its own: counted it is
@pytest.mark.parametrize("statement", APPLICATION_WRITES.values(), ids=APPLICATION_WRITES.keys())
def test_whatever_the_application_writes_is_counted(
    statement: str, store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    opened = [event(EmailOpened, each) for each in ("r1", "r2", "u1")]
    store.apply(received([delivered("r1"), bounced("r3"), event(EmailClicked, "r1"), *opened]))
    assert member_counters(database_url, "m-r1") == (2, 2, 1, 1, None)
    application.execute(statement.encode())
    assert miscounted(database_url) == []
    store.apply(received([delivered("r2"), event(EmailOpened, "r3"), event(EmailOpened, "n")], first_offset=6))
    assert miscounted(database_url) == []


def test_a_member_that_comes_after_its_recipients_is_counted_for(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    application.execute("DELETE FROM mailriver.members")
    store.apply(received([event(EmailOpened, "r1"), event(EmailOpened, "u1")]))
    application.execute("INSERT INTO mailriver.members (id, email) VALUES ('m-r1', 'r1@example.com')")
    assert member_counters(database_url, "m-r1") == (2, 2, 1, 1, None)


def test_the_open_rate_counts_tracked_emails_alone(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    application.execute(APPLICATION_WRITES["insert"].encode())
    assert member_counters(database_url, "m-r1") == (8, 6, 7, 6, 86)
    store.apply(received([event(EmailOpened, "r1"), event(EmailOpened, "u1")]))
    assert member_counters(database_url, "m-r1") == (8, 8, 7, 7, 100)


def test_a_batch_waits_for_an_application_that_writes_recipients_and_counts_on(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    thread = Thread(target=lambda: store.apply(received([event(EmailOpened, "n"), event(EmailOpened, "r1")])))
    with application.transaction():
        application.execute(APPLICATION_WRITES["insert without member"].encode())
        application.execute("DELETE FROM mailriver.email_recipients WHERE id = 'r1'")
        thread.start()
        with psycopg.connect(database_url, autocommit=True) as watcher:
            await_lock(watcher, "mailriver-storage")
    thread.join()
    assert email_counters(database_url) == (3, 0, 1, 0, 0)
    assert drifted(database_url) == []


def test_storage_refuses_to_write_where_the_triggers_would_count_as_well(
    application: psycopg.Connection, database_url: str
) -> None:
    arrays.register(application)
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match=r"mailriver\.writer is lost"):
        apply_rows(application, Part.of([delivered("r1")]), arrays.instants([NOON]), [])
    assert email_counters(database_url) == (3, 0, 0, 0, 0)


def test_a_transaction_with_an_old_snapshot_may_not_write_recipients(application: psycopg.Connection) -> None:
    application.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with application.transaction(), pytest.raises(errors.FeatureNotSupported, match="READ COMMITTED"):
        application.execute("DELETE FROM mailriver.email_recipients")


def test_what_was_there_before_the_counters_is_counted(database_url: str) -> None:
    with empty_database(database_url) as dsn:
        before = [migration for migration in shipped() if migration.number <= 3]
        migrate(dsn, report=lambda _: None, migrations=before)
        seed(dsn, ["r1", "r2"])
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("UPDATE mailriver.email_recipients SET opened_at = now() WHERE id = 'r1'")
            connection.execute("INSERT INTO mailriver.members (id, email) VALUES ('m-r1', 'r1@example.com')")
        migrate(dsn, report=lambda _: None)
        assert email_counters(dsn) == (2, 0, 1, 0, 0)
        assert member_counters(dsn, "m-r1") == (1, 1, 1, 1, None)
        assert drifted(dsn) == []
