"""`mailriver audit`: each stored value that is not its recount is found, told and mended, beside whoever writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any, LiteralString

import psycopg
import pytest

from services.contracts.events import EmailBounced, EmailClicked, EmailOpened, SpamComplaint
from services.runtime.errors import Fatal, Transient
from services.storage.adapters import audit as adapter
from services.storage.adapters.audit import Auditor, Bounds, last_audit
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.audit import Summary
from tests.support.commands import mailriver
from tests.support.counters import drifted
from tests.support.storage import NOON, bounced, delivered, empty_database, event, received, seed
from tests.support.waiting import await_lock

pytestmark = pytest.mark.integration

RECIPIENTS = [f"r{number}" for number in range(1, 8)]
ROWS = 2 + 7 + 7 + 1


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """Two emails, seven recipients and members of the first, events of all kinds; and a session of somebody."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO mailriver.members (id, email) SELECT 'm-r' || i, 'r' || i FROM generate_series(1, 7) i"
        )
        seed(database_url, RECIPIENTS)
        seed(database_url, [], "e2")
        store = PostgresStore(database_url, "email.events")
        store.apply(
            received([
                delivered("r1"), delivered("r2"), event(EmailOpened, "r2"), event(EmailClicked, "r2"), bounced("r3"),
                event(SpamComplaint, "r4"), event(EmailBounced, "r5", NOON + 1000),
            ])
        )  # fmt: skip
        store.close()
        yield connection


# What somebody who writes past the triggers makes wrong, and what is told of it.
EMAILS = [
    ("emails", "e1", "recipient_count", 0, 7),
    ("emails", "e1", "delivered_count", 1, 2),
    ("emails", "e1", "opened_count", 2, 1),
    ("emails", "e1", "clicked_count", -1, 1),
    ("emails", "e1", "failed_count", 9, 2),
]
MEMBERS = [
    ("members", "m-r2", "email_count", 0, 1),
    ("members", "m-r2", "email_opened_count", 2, 1),
    ("members", "m-r2", "email_tracked_count", 7, 1),
    ("members", "m-r2", "email_tracked_opened_count", 5, 1),
]


@pytest.mark.parametrize("wrong", [*EMAILS, *MEMBERS], ids=lambda wrong: wrong[2])
def test_drift_of_each_counter_is_found_and_mended(
    wrong: tuple[str, str, str, int, int], connection: psycopg.Connection, database_url: str
) -> None:
    table, row_id, counter, stored, recounted = wrong
    connection.execute(f"UPDATE mailriver.{table} SET {counter} = %s WHERE id = %s", (stored, row_id))
    found = mailriver("audit", DATABASE_URL=database_url)
    told = f"{table} {row_id}: {counter} is {stored}, recounted {recounted}"
    assert (found.returncode, found.stdout) == (1, f"{told}\nrows audited {ROWS}, drift 1\n")
    assert "audit --repair" in found.stderr
    mended = mailriver("audit", "--repair", DATABASE_URL=database_url)
    assert mended.returncode == 0, mended.stderr
    assert mended.stdout == f"{told} (repaired)\nrows repaired 1\nrows audited {ROWS}, drift 1\n"
    again = mailriver("audit", DATABASE_URL=database_url)
    assert (again.returncode, again.stdout, again.stderr) == (0, f"rows audited {ROWS}, drift 0\n", "")


def test_a_failure_whose_time_the_recipient_lost_gives_it_back_and_is_counted(
    connection: psycopg.Connection, database_url: str
) -> None:
    with connection.transaction():
        connection.execute("SELECT set_config('mailriver.writer', 'storage', true)")  # so that nothing is counted
        connection.execute("UPDATE mailriver.email_recipients SET failed_at = NULL WHERE id = 'r3'")
    found = {(drift.table, drift.id, drift.counter) for drift in drifted(database_url)}
    assert found == {("recipients", "r3", "failed_at"), ("emails", "e1", "failed_count")}
    assert mailriver("audit", "--repair", DATABASE_URL=database_url).returncode == 0
    assert drifted(database_url) == []
    failed = connection.execute("SELECT failed_at IS NOT NULL FROM mailriver.email_recipients WHERE id = 'r3'")
    assert failed.fetchone() == (True,)


@pytest.mark.parametrize(
    ("lost", "table"),
    [
        ("DELETE FROM mailriver.email_recipient_failures WHERE email_recipient_id = 'r3'", "recipients"),
        ("DELETE FROM mailriver.suppressions", "suppression_members"),
    ],
    ids=["failure", "suppression"],
)
@pytest.mark.drifts
def test_what_only_the_events_can_tell_is_found_and_stays(
    lost: LiteralString, table: str, connection: psycopg.Connection, database_url: str
) -> None:
    connection.execute(lost)
    assert [(drift.table, drift.repaired) for drift in drifted(database_url)] == [(table, False)]
    done = mailriver("audit", "--repair", DATABASE_URL=database_url)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"rows audited {ROWS}, drift 1"
    assert "mailriver rebuild" in done.stderr


@pytest.mark.drifts
def test_twenty_lines_are_shown_and_all_of_them_as_json(connection: psycopg.Connection, database_url: str) -> None:
    connection.execute(
        "UPDATE mailriver.members SET email_count = 9, email_opened_count = 9, email_tracked_count = 9, "
        "email_tracked_opened_count = 9"
    )
    lines = mailriver("audit", DATABASE_URL=database_url).stdout.splitlines()
    assert len(lines) == 20 + 2
    assert lines[-2:] == ["and so on; all of them with --json", f"rows audited {ROWS}, drift 7"]
    done = mailriver("audit", "--json", DATABASE_URL=database_url)
    said: dict[str, Any] = json.loads(done.stdout)
    drifts = said.pop("drifts")
    assert said == {"rows": ROWS, "drifted": 7, "repaired": 0}
    assert len(drifts) == 28
    assert drifts[0] == {
        "table": "members", "id": "m-r1", "counter": "email_count", "stored": 9, "recounted": 1, "repaired": False,
    }  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"rows audited {ROWS}, drift 7"


@pytest.mark.parametrize("bounds", [Bounds(rows=1, recipients=1), Bounds(rows=2, recipients=3)], ids=["1", "2"])
def test_steps_however_small_see_each_row_once(
    bounds: Bounds, connection: psycopg.Connection, database_url: str
) -> None:
    for number in range(3, 6):
        seed(database_url, [f"{each}-{number}" for each in RECIPIENTS[:number]], f"e{number}")
    with Auditor(database_url, bounds) as auditor:
        steps = list(auditor.steps(repair=False))
    counted: dict[str, int] = {}
    for step in steps:
        counted[step.table] = counted.get(step.table, 0) + step.rows
        assert step.rows <= bounds.rows
    assert counted == {"recipients": 7 + 12, "emails": 5, "members": 7, "suppression_members": 1}


def test_the_last_audit_is_kept(connection: psycopg.Connection, database_url: str) -> None:
    assert last_audit(database_url) is None
    connection.execute("UPDATE mailriver.members SET email_count = 9 WHERE id = 'm-r1'")
    mailriver("audit", "--repair", DATABASE_URL=database_url)
    found = last_audit(database_url)
    assert found is not None
    assert found[1] == Summary(ROWS, 1, 1)


def test_writers_beside_an_audit_are_no_drift_and_a_repair_beside_them_makes_none(
    connection: psycopg.Connection, database_url: str
) -> None:
    finished = Event()

    def write() -> None:
        store, number = PostgresStore(database_url, "email.events"), 7
        while not finished.is_set():
            at = NOON - number * 1000
            batch = [event(kind, each, at) for kind in (EmailOpened, EmailBounced) for each in RECIPIENTS]
            store.apply(received(batch, first_offset=number))
            number += len(batch)
        store.close()

    def resend() -> None:
        with psycopg.connect(database_url, autocommit=True) as application:
            while not finished.is_set():
                application.execute("DELETE FROM mailriver.email_recipients WHERE id IN ('r1', 'r6')")
                application.execute(
                    "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) "
                    "SELECT id, 'e1', 'm-' || id, id FROM unnest(ARRAY['r1', 'r6']) AS given (id)"
                )

    threads = [Thread(target=write), Thread(target=resend)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            with Auditor(database_url, Bounds(rows=2)) as auditor:
                assert [drift for step in auditor.steps(repair=False) for drift in step.drifts] == []
                # Added, not set: so that it is wrong whatever the others write at the same time.
                connection.execute("UPDATE mailriver.emails SET opened_count = opened_count + 3 WHERE id = 'e1'")
                connection.execute("UPDATE mailriver.members SET email_count = email_count - 1 WHERE id = 'm-r2'")
                steps = list(auditor.steps(repair=True))
            wrong = {(drift.id, drift.counter, drift.repaired) for step in steps for drift in step.drifts}
            assert wrong == {("e1", "opened_count", True), ("m-r2", "email_count", True)}
            assert drifted(database_url) == []
    finally:
        finished.set()
        for thread in threads:
            thread.join()


def test_a_repair_waits_for_the_gate_not_for_ever_and_says_so(
    connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_GATE_WAIT_MILLISECONDS", 100)
    connection.execute("UPDATE mailriver.members SET email_count = 9 WHERE id = 'm-r1'")
    with Auditor(database_url) as auditor:
        with connection.transaction():
            connection.execute("DELETE FROM mailriver.email_recipients WHERE id = 'r7'")
            with pytest.raises(Transient, match="lock timeout"):
                list(auditor.steps(repair=True))
        assert sum(step.repaired for step in auditor.steps(repair=True)) == 1


def test_nobody_writes_what_is_being_repaired(connection: psycopg.Connection, database_url: str) -> None:
    """Storage waits behind the gate, and what it then counts comes on top."""
    connection.execute("UPDATE mailriver.emails SET opened_count = 9 WHERE id = 'e1'")
    store = PostgresStore(database_url, "email.events")
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url, autocommit=True) as watcher:
        holder.execute("SELECT FROM mailriver.emails WHERE id = 'e1' FOR UPDATE")  # holds the repair inside the gate
        threads = [
            Thread(target=mailriver, args=("audit", "--repair"), kwargs={"DATABASE_URL": database_url}),
            Thread(target=lambda: store.apply(received([event(EmailOpened, "r6")], first_offset=7))),
        ]
        threads[0].start()
        await_lock(watcher, "mailriver-audit")
        threads[1].start()
        await_lock(watcher, "mailriver-storage")
        holder.rollback()
        for thread in threads:
            thread.join()
    store.close()
    assert drifted(database_url) == []
    opened = connection.execute("SELECT opened_count FROM mailriver.emails WHERE id = 'e1'").fetchone()
    assert opened == (2,)


def test_without_tables_or_without_a_database_it_ends_with_a_sentence(database_url: str) -> None:
    with empty_database(database_url) as url:
        done = mailriver("audit", DATABASE_URL=url)
        with pytest.raises(Fatal):
            Auditor(url)
    assert done.returncode == 1
    assert done.stderr == "mailriver: the database's tables are older than this version; run `mailriver migrate`\n"
    away = mailriver("audit", DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert away.returncode == 1
    assert "Traceback" not in away.stderr
    assert mailriver("audit", "--mend", DATABASE_URL=database_url).returncode == 2
