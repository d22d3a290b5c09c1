"""Batches in Postgres: outcomes, accounting, poison."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from services.contracts.events import EmailClicked, EmailOpened, EmailTemporarilyFailed
from services.runtime.errors import Fatal
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.outcomes import CHANGED, NOTHING, RECIPIENT_GONE, Total
from tests.support.definition import Row
from tests.support.storage import (
    NOON,
    bounced,
    delivered,
    event,
    received,
    seed,
    stored_offsets,
    stored_rows,
    stored_totals,
)

pytestmark = pytest.mark.integration

NOON_MILLIS = NOON // 1000
UNTOUCHED = Row(None, None, None, None, None)


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresStore]:
    seed(database_url, ["r1", "r2", "r3"])
    store = PostgresStore(database_url, "email.events")
    yield store
    store.close()


def test_a_batch_sets_the_columns_and_tells_what_each_event_did(store: PostgresStore, database_url: str) -> None:
    events = [
        delivered("r1"),
        event(EmailOpened, "r1", NOON + 5000),
        event(EmailOpened, "r1", NOON + 3000),
        event(EmailClicked, "r2"),
        event(EmailTemporarilyFailed, "r2"),
        delivered("gone"),
        event(EmailTemporarilyFailed, "gone"),
    ]
    applied = store.apply(received(events))
    assert applied.verdicts == [CHANGED, NOTHING, CHANGED, CHANGED, CHANGED, RECIPIENT_GONE, RECIPIENT_GONE]
    assert stored_rows(database_url) == {
        "r1": Row(None, NOON_MILLIS, NOON_MILLIS, NOON_MILLIS + 3, None),
        "r2": Row(None, None, None, None, NOON_MILLIS),
        "r3": UNTOUCHED,
    }


def test_a_permanent_failure_empties_delivered_at_and_keeps_the_fact(store: PostgresStore, database_url: str) -> None:
    store.apply(received([delivered("r1")]))
    store.apply(received([bounced("r1", NOON + 9000)], first_offset=1))
    late_delivery = store.apply(received([delivered("r2", NOON + 9000), bounced("r2")], first_offset=2))
    assert late_delivery.verdicts == [CHANGED, CHANGED]
    rows = stored_rows(database_url)
    assert rows["r1"] == Row(NOON_MILLIS + 9, NOON_MILLIS, None, None, None)
    assert rows["r2"] == Row(NOON_MILLIS, NOON_MILLIS + 9, None, None, None)


def test_times_are_cut_to_milliseconds_and_not_rounded(store: PostgresStore, database_url: str) -> None:
    store.apply(received([delivered("r1", NOON + 999_999)]))
    assert stored_rows(database_url)["r1"].delivered_at == NOON_MILLIS + 999
    assert store.apply(received([delivered("r1", NOON + 999_000)], first_offset=1)).verdicts == [NOTHING]


def test_a_replay_below_the_stored_offset_changes_nothing_and_is_not_counted(
    store: PostgresStore, database_url: str
) -> None:
    batch = received([delivered("r1"), event(EmailOpened, "r1", loop="missing")], first_offset=40)
    store.apply(batch)
    counted = stored_totals(database_url)
    assert counted == {("delivered", "latest", "changed", ""): 1, ("opened", "missing", "changed", ""): 1}
    again = store.apply([*batch, *received([delivered("r2")], first_offset=42)])
    assert again.totals == {Total("delivered", "latest", CHANGED): 1}
    assert stored_totals(database_url) == counted | {("delivered", "latest", "changed", ""): 2}
    assert stored_offsets(database_url) == {0: 43}


def test_an_older_batch_of_a_zombie_never_moves_the_offset_back(store: PostgresStore, database_url: str) -> None:
    store.apply(received([delivered("r1")], first_offset=10))
    store.apply(received([delivered("r2")], first_offset=3))
    assert stored_offsets(database_url) == {0: 11}


def test_a_lost_batch_below_the_stored_offset_is_still_applied(store: PostgresStore, database_url: str) -> None:
    store.apply(received([delivered("r1")], first_offset=10))
    assert store.apply(received([delivered("r2")], first_offset=3)).totals == {}
    assert stored_rows(database_url)["r2"].delivered_at == NOON_MILLIS


def test_the_partitions_of_a_batch_are_counted_apart(store: PostgresStore, database_url: str) -> None:
    batch = received([delivered("r1")], partition=4, first_offset=7) + received([delivered("r2")], partition=2)
    store.apply(batch)
    assert stored_offsets(database_url) == {2: 1, 4: 8}


def test_ignored_events_are_counted_with_their_reason(store: PostgresStore, database_url: str) -> None:
    store.apply(received([delivered("gone"), delivered("also\0gone")]))
    assert stored_totals(database_url) == {("delivered", "latest", "ignored", "recipient_gone"): 2}


def refuse_row(dsn: str, recipient_id: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE mailriver.email_recipients ADD CONSTRAINT no_clicks "
            f"CHECK (id <> '{recipient_id}' OR clicked_at IS NULL)"
        )


def test_a_row_that_is_refused_is_found_and_the_others_are_applied(store: PostgresStore, database_url: str) -> None:
    refuse_row(database_url, "r2")
    events = [
        delivered("r1", NOON + 1000),
        event(EmailClicked, "r3"),
        event(EmailClicked, "r2"),
        event(EmailOpened, "r2"),
        delivered("r1"),
        event(EmailClicked, "r1"),
    ]
    applied = store.apply(received(events))
    assert [poisoned.index for poisoned in applied.poisoned] == [2]
    assert "no_clicks" in applied.poisoned[0].error
    assert "\n" not in applied.poisoned[0].error
    assert applied.verdicts == [NOTHING, CHANGED, None, CHANGED, CHANGED, CHANGED]
    assert stored_rows(database_url) == {
        "r1": Row(None, NOON_MILLIS, NOON_MILLIS, None, NOON_MILLIS),
        "r2": Row(None, None, None, NOON_MILLIS, None),
        "r3": Row(None, None, None, None, NOON_MILLIS),
    }
    assert sum(stored_totals(database_url).values()) == 5
    assert stored_offsets(database_url) == {0: 6}


def test_a_time_that_postgres_cannot_hold_poisons_its_event_alone(store: PostgresStore, database_url: str) -> None:
    applied = store.apply(received([delivered("r1", -(2**63)), delivered("r2")]))
    assert [poisoned.index for poisoned in applied.poisoned] == [0]
    assert stored_rows(database_url)["r1"] == UNTOUCHED
    assert stored_rows(database_url)["r2"].delivered_at == NOON_MILLIS


@pytest.mark.drifts  # there is nothing left to audit
def test_a_database_that_is_not_migrated_is_fatal_and_says_so(store: PostgresStore, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA mailriver CASCADE")
    with pytest.raises(Fatal, match="Is it migrated"):
        store.apply(received([delivered()]))


def test_an_empty_batch_is_no_fault(store: PostgresStore, database_url: str) -> None:
    assert store.apply([]).verdicts == []
    assert stored_offsets(database_url) == {}
