"""Two consumers and a busy application on the same rows: in the end every counter is what a recount says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event
from typing import LiteralString

import psycopg
import pytest
from psycopg import errors

from services.contracts.events import TYPED_EVENTS, EmailEvent
from services.storage.adapters.postgres import PostgresStore
from tests.support.counters import drifted
from tests.support.storage import NOON, event, received, stored_totals

pytestmark = pytest.mark.integration

RECIPIENTS = [f"r{number:03}" for number in range(300)]
BATCHES, BATCH = 40, 400
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
def campaign(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO mailriver.emails (id, newsletter_id, track_opens, subject, submitted_at) "
            "SELECT 'e' || i, 'n1', i <> 2, 'News', now() FROM generate_series(0, 2) AS given (i)"
        )
        connection.execute(
            "INSERT INTO mailriver.members (id, email) SELECT 'm-' || id, id FROM unnest(%s::text[]) AS given (id)",
            (RECIPIENTS,),
        )
        connection.execute("INSERT INTO mailriver.members_newsletters SELECT id, 'n1', NULL FROM mailriver.members")
        send(connection, RECIPIENTS)
    return database_url


def send(connection: psycopg.Connection, recipients: list[str]) -> None:
    """The application's rows of these recipients, where they are not there."""
    connection.execute(
        "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) "
        "SELECT id, 'e' || right(id, 1)::integer %% 3, 'm-' || id, id FROM unnest(%s::text[]) AS given (id) "
        "ON CONFLICT DO NOTHING",
        (recipients,),
    )


def consume(dsn: str, partition: int) -> int:
    """Batches of all types in no order of rows; how many events there were."""
    random = Random(partition)
    store = PostgresStore(dsn, "email.events")
    for number in range(BATCHES):
        events: list[EmailEvent] = [
            event(random.choice(TYPED_EVENTS), random.choice(RECIPIENTS), NOON + random.randrange(10_000) * 1000)
            for _ in range(BATCH)
        ]
        applied = store.apply(received(events, partition=partition, first_offset=number * BATCH))
        assert applied.poisoned == []
    store.close()
    return BATCHES * BATCH


def resend(connection: psycopg.Connection, recipients: list[str]) -> None:
    """Three statements in one transaction, each in no order of rows."""
    for _ in range(3):
        send(connection, recipients[:10])


Write = tuple[LiteralString | Callable[[psycopg.Connection, list[str]], None], bool]

# What a sending application does, each in a transaction of its own; and whether the gate keeps it apart from storage.
WRITES: list[Write] = [
    ("DELETE FROM mailriver.email_recipients WHERE id = ANY(%(some)s)", True),
    (resend, True),
    (
        "UPDATE mailriver.email_recipients SET member_id = 'm-' || id, opened_at = NULL WHERE id = ANY(%(some)s)",
        True,
    ),
    ("DELETE FROM mailriver.members WHERE substr(id, 3) = ANY(%(some)s)", True),
    (
        "INSERT INTO mailriver.members (id, email) SELECT 'm-' || id, id FROM unnest(%(some)s::text[]) AS given (id) "
        "ON CONFLICT DO NOTHING",
        True,
    ),
    ("UPDATE mailriver.members SET email_disabled = false", False),
    (
        "INSERT INTO mailriver.members_newsletters SELECT id, 'n1', now() FROM mailriver.members "
        "ON CONFLICT DO NOTHING",
        False,
    ),
]


def write(dsn: str, writes: Sequence[Write], finished: Event) -> int:
    """Be busy until the consumers have finished; how many transactions were let go for a deadlock."""
    random, let_go = Random(9), 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not finished.is_set():
            some = random.sample(RECIPIENTS, 20)
            for statement, _ in writes:
                try:
                    with connection.transaction():
                        if callable(statement):
                            statement(connection, some)
                        else:
                            connection.execute(statement, {"some": some})
                except errors.DeadlockDetected:
                    let_go += 1
    return let_go


def storm(dsn: str, writes: Sequence[Write]) -> int:
    """Two consumers while the application writes; checks all in the end and answers the number of deadlocks."""
    finished = Event()
    with ThreadPoolExecutor(3) as pool:
        application = pool.submit(write, dsn, writes, finished)
        consumers = [pool.submit(consume, dsn, partition) for partition in range(2)]
        try:
            events = sum(consumer.result() for consumer in consumers)
        finally:
            finished.set()
        application.result()
    assert drifted(dsn) == []
    assert sum(stored_totals(dsn).values()) == events
    with psycopg.connect(dsn) as connection:
        (deadlocks,) = connection.execute(DEADLOCKS).fetchone() or (0,)
    return int(deadlocks)


def test_behind_the_gate_nothing_drifts_and_nothing_deadlocks(campaign: str) -> None:
    assert storm(campaign, [each for each in WRITES if each[1]]) == 0


def test_beside_the_gate_deadlocks_are_tried_again_and_nothing_drifts(campaign: str) -> None:
    storm(campaign, WRITES)
