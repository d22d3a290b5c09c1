"""A database that goes away, is busy or is shared: nothing is lost, nothing hangs."""

from __future__ import annotations

from threading import Barrier, Thread

import psycopg
import pytest

from services.contracts.events import EmailClicked, EmailEvent, EmailOpened
from services.runtime.errors import Transient
from services.storage.adapters.postgres import PostgresStore
from services.storage.adapters.session import SessionLimits
from services.storage.core.outcomes import CHANGED
from tests.support import definition
from tests.support.database_proxy import DatabaseProxy
from tests.support.storage import NOON, delivered, event, received, seed, stored_rows, stored_totals
from tests.support.waiting import await_lock

pytestmark = pytest.mark.integration

IMPATIENT = SessionLimits(connect_seconds=5, lock_seconds=1, statement_seconds=20)


def test_a_database_that_is_away_is_waited_for(database_url: str, proxy: DatabaseProxy) -> None:
    seed(database_url, ["r1", "r2"])
    store = PostgresStore(proxy.dsn, "email.events", limits=IMPATIENT)
    store.apply(received([delivered("r1")]))
    proxy.down()
    for _ in range(2):
        with pytest.raises(Transient):
            store.apply(received([delivered("r2")], first_offset=1))
    proxy.up()
    assert store.apply(received([delivered("r2")], first_offset=1)).verdicts == [CHANGED]
    store.close()
    assert sum(stored_totals(database_url).values()) == 2


def test_a_session_that_the_server_ends_is_opened_anew(database_url: str) -> None:
    seed(database_url, ["r1"])
    store = PostgresStore(database_url, "email.events", application_name="storage-to-end")
    store.apply([])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'storage-to-end'"
        )
    with pytest.raises(Transient):
        store.apply(received([delivered("r1")]))
    assert store.apply(received([delivered("r1")])).verdicts == [CHANGED]
    store.close()


def test_a_lock_that_does_not_come_is_transient_and_nothing_is_written(database_url: str) -> None:
    seed(database_url, ["r1"])
    store = PostgresStore(database_url, "email.events", limits=IMPATIENT)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM mailriver.email_recipients WHERE id = 'r1' FOR UPDATE")
        with pytest.raises(Transient, match="55P03"):
            store.apply(received([delivered("r1")]))
    assert stored_totals(database_url) == {}
    assert store.apply(received([delivered("r1")])).verdicts == [CHANGED]
    store.close()


def test_the_session_is_named_and_limited(database_url: str) -> None:
    store = PostgresStore(database_url, "email.events", application_name="storage-named", limits=IMPATIENT)
    store.apply([])
    with psycopg.connect(database_url) as connection:
        named = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'storage-named'")
        assert named.fetchone() == (1,)
    store.close()
    store.close()


def test_consumers_of_the_same_rows_neither_deadlock_nor_lose_an_update(database_url: str) -> None:
    recipients = [f"r{number}" for number in range(200)]
    seed(database_url, recipients)
    kinds = (EmailOpened, EmailClicked)
    shares: list[list[list[EmailEvent]]] = [
        [
            # One shuffled by a stride, the other backwards, and their times interleaved.
            [event(kind, recipients[(i * stride) % 200], NOON + (i * 7919 + round_ * 31 + who) % 5000 * 1000)
             for i in range(200) for kind in kinds]
            for round_ in range(12)
        ]
        for who, stride in enumerate((3, 199, 77))
    ]  # fmt: skip
    barrier = Barrier(len(shares))
    failed: list[BaseException] = []

    def consume(partition: int) -> None:
        store = PostgresStore(database_url, "email.events")
        try:
            for round_, events in enumerate(shares[partition]):
                barrier.wait(timeout=60)
                store.apply(received(events, partition=partition, first_offset=round_ * len(events)))
        except BaseException as error:
            failed.append(error)
            barrier.abort()
        finally:
            store.close()

    threads = [Thread(target=consume, args=(partition,)) for partition in range(len(shares))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    everything = [each for share in shares for events in share for each in events]
    assert stored_rows(database_url) == definition.recipient_rows(recipients, everything)
    assert sum(stored_totals(database_url).values()) == len(everything)
    with psycopg.connect(database_url) as connection:
        deadlocks = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert deadlocks.fetchone() == (0,)


def test_two_consumers_of_one_partition_count_a_record_once(database_url: str) -> None:
    seed(database_url, ["r1", "r2"])
    batch = received([delivered("r1"), delivered("r2")])
    barrier = Barrier(2)

    def consume() -> None:
        store = PostgresStore(database_url, "email.events")
        barrier.wait(timeout=60)
        store.apply(batch)
        store.close()

    threads = [Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored_totals(database_url) == {("delivered", "latest", "changed", ""): 2}


def test_a_deadlock_with_somebody_else_is_tried_again(database_url: str) -> None:
    """The other session holds r2 and then wants r1, which storage holds: whoever is let go, both get through."""
    seed(database_url, ["r1", "r2"])
    store = PostgresStore(database_url, "email.events", application_name="storage-deadlock")
    applied: list[object] = []
    thread = Thread(target=lambda: applied.extend(store.apply(received([delivered("r1"), delivered("r2")])).verdicts))
    with psycopg.connect(database_url) as other, psycopg.connect(database_url, autocommit=True) as watcher:
        other.execute("SET deadlock_timeout = '60s'")  # so that storage is the one to find it and be let go
        other.execute("SELECT FROM mailriver.email_recipients WHERE id = 'r2' FOR UPDATE")
        thread.start()
        await_lock(watcher, "storage-deadlock")
        other.execute("SELECT FROM mailriver.email_recipients WHERE id = 'r1' FOR UPDATE")
        other.rollback()
        thread.join()
        deadlocks = (
            "SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        store.close()
        assert (watcher.execute(deadlocks).fetchone() or (None, 0))[1] >= 1
    assert applied == [CHANGED, CHANGED]
