"""Scheduled fetches on a real Kafka: ordered, fetched in slices, canceled, refused, swept, and through restarts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Event

import msgspec
import pytest
from typing_extensions import override

from services.contracts.events import FetchState
from services.contracts.partitioning import partition_of
from services.contracts.reasons import Loop
from services.fetcher.leases import Lease
from services.fetcher.task import REFUSED_SECONDS
from services.runtime.bus.api import Outgoing, Partition, Record
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.clock import SystemClock
from services.runtime.errors import Transient
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.mailgun import scenario as faults
from tests.support.fetching import (
    API_KEY,
    DOMAIN,
    Fetcher,
    Identity,
    Journal,
    JumpingClock,
    Orders,
    add,
    cancellation,
    one,
    order,
    several,
    shown_as,
)
from tests.support.servers import KafkaServer

pytestmark = pytest.mark.integration
OTHER = "mg.example.org"
NAMES = [f"unknown{number}.example.net" for number in range(20)]
HOUR = 3600.0


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(Scenario(api_key=API_KEY, domains=(DOMAIN, OTHER)), clock=time.time) as running:
        yield running


@pytest.fixture
def orders(kafka: KafkaServer, topic_prefix: str, journal: Journal) -> Orders:
    return Orders(kafka.bootstrap, topic_prefix)


def state_of(journal: Journal, schedule_id: str) -> FetchState | None:
    return journal.read_on().schedules.get(schedule_id)


def comes_to(fetcher: Fetcher, journal: Journal, schedule_id: str, status: str, *, seconds: float = 60) -> FetchState:
    """Step until a schedule has this state; the state."""

    def arrived() -> FetchState | None:
        state = state_of(journal, schedule_id)
        return state if state is not None and state.state == status else None

    found = fetcher.step_until(arrived, seconds=seconds, what=f"{schedule_id} is {status}")
    assert found is not None
    return found


def test_a_past_range_is_fetched_while_latest_runs_and_through_a_restart_both_exactly(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """The range is [begin, end) to the microsecond; each event is there once, whoever was at work when it came."""
    now = time.time()
    begin = float(int(now - 2 * HOUR))
    past = several(3_000, begin, 1_000, name="past")
    outside = [one("just-before", begin - 0.000_001), one("at-the-end", begin + 1_000)]
    in_range = add(simulator, past)
    add(simulator, outside)
    recent = add(simulator, several(200, now - 10, 30, name="recent"))
    settings = {"FETCH_PAGE_SIZE": "20", "FETCH_CONCURRENCY": "4"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as first:
        orders.send(order("past", begin, begin + 1_000))
        first.step_until(
            lambda: len(journal.read_on().counts_of(Loop.SCHEDULED)) > 800, seconds=60, what="a part is fetched"
        )
        state = state_of(journal, "past")
        assert state is not None
        assert len(state.slices) == 3
    between = state_of(journal, "past")
    assert between is not None
    assert between.state == "running"
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as second:
        done = comes_to(second, journal, "past", "done")
        second.step_until(lambda: recent <= set(journal.read_on().counts), seconds=60, what="latest goes on")
    assert journal.counts_of(Loop.SCHEDULED) == Counter(in_range)
    assert set(journal.counts.values()) == {1}
    assert journal.counts.keys() == in_range | recent
    assert (done.events_total, done.fetched_through, done.slices) == (3_000, done.range_end, [])
    assert done.last_started_at == between.last_started_at


def test_a_schedule_of_some_types_fetches_those_alone(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Mailgun filters; the range is read from begin to end all the same."""
    begin = float(int(time.time() - HOUR))
    events = several(60, begin, 50)
    add(simulator, events)
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as fetcher:
        orders.send(order("some", begin, begin + 60, types=["failed", "clicked"]))
        comes_to(fetcher, journal, "some", "done")
    wanted = {shown_as(DOMAIN, event) for event in events if event.event_type in ("failed", "clicked")}
    assert journal.counts_of(Loop.SCHEDULED) == Counter(wanted)


def test_no_command_holds_up_the_next(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Whatever is wrong with one is answered by a state that says so, or passed over and counted."""
    begin = float(int(time.time() - HOUR))
    add(simulator, several(10, begin, 9))
    orders.send_bytes(b"no avro")
    orders.send_bytes(None)
    orders.send_bytes(b"\0\0\0\x03\xe7abc")
    orders.send(order("backwards", begin, begin - 1), order("nothing", begin, begin))
    orders.send(order("types", begin, begin + 1, types=["opend"]), order("1969", -5, begin))
    here = partition_of(DOMAIN.encode(), 6)
    elsewhere = next(name for name in NAMES if partition_of(name.encode(), 6) != here)
    orders.send(order("unknown", begin, begin + 1, domain=elsewhere))
    orders.send(order("astray", begin, begin + 1, domain=elsewhere), key=DOMAIN)
    orders.send(order("latest", begin, begin + 1), order("", begin, begin + 1))
    orders.send(cancellation("never-heard-of"), order("good", begin, begin + 10), order("good", 1, 2))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as fetcher:
        comes_to(fetcher, journal, "good", "done")
        comes_to(fetcher, journal, "unknown", "failed")
        orders.send(order("good", 1, 2), cancellation("good"), cancellation("backwards"))
        results = ("queued", "canceled", "refused", "ignored", "unreadable")

        def counted() -> dict[str, float | None]:
            name = "mailriver_fetcher_commands_total"
            return {each: fetcher.registry.get_sample_value(name, {"result": each}) for each in results}

        fetcher.step_until(lambda: counted()["ignored"] == 5, seconds=30, what="the last ones are read")
        assert counted() == {"queued": 1, "canceled": 0, "refused": 8, "ignored": 5, "unreadable": 3}
    said = {name: state.last_error or "" for name, state in journal.read_on().schedules.items()}
    assert said.keys() == {"backwards", "nothing", "types", "1969", "unknown", "good"}
    assert "end has to be after its begin" in said["backwards"]
    assert said["nothing"] == said["backwards"]
    assert "'opend'" in said["types"]
    assert "1970" in said["1969"]
    assert "MAILGUN_DOMAINS" in said["unknown"]
    assert len(journal.counts_of(Loop.SCHEDULED)) == 10
    assert "latest" not in {state.schedule_id for state in journal.states}


def test_a_command_is_obeyed_once_through_restarts(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Its offset is committed with the state that it leads to: the next process does not read it again."""
    begin = float(int(time.time() - HOUR))
    add(simulator, several(10, begin, 9))
    for name in ("one", "two"):
        with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as fetcher:
            orders.send(order(name, begin, begin + 10))
            comes_to(fetcher, journal, name, "done")
            counts = [
                fetcher.registry.get_sample_value("mailriver_fetcher_commands_total", {"result": each})
                for each in ("queued", "ignored")
            ]
            assert counts == [1, 0]
    assert set(journal.read_on().counts_of(Loop.SCHEDULED).values()) == {2}


def test_a_cancel_takes_effect_within_a_page_and_the_next_schedule_goes_on(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Nothing of it is published after its state says canceled, and nothing of it is asked."""
    begin = float(int(time.time() - 2 * HOUR))
    add(simulator, several(2_000, begin, 1_000, name="long"))
    add(simulator, several(10, begin + 3_000, 9, name="short"))
    simulator.scenario = msgspec.structs.replace(simulator.scenario, latency_seconds=0.2)
    settings = {"FETCH_PAGE_SIZE": "10", "FETCH_CONCURRENCY": "4"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        orders.send(order("long", begin, begin + 1_000), order("short", begin + 3_000, begin + 3_010))
        fetcher.step_until(
            lambda: len(journal.read_on().counts_of(Loop.SCHEDULED)) > 50, seconds=60, what="it is being fetched"
        )
        orders.send(cancellation("long"))
        canceled = comes_to(fetcher, journal, "long", "canceled")
        of_long = sum(raw.event_id.startswith("long") for raw in journal.raw)
        comes_to(fetcher, journal, "short", "done")
        assert sum(raw.event_id.startswith("long") for raw in journal.read_on().raw) == of_long
        assert canceled.events_total == of_long < 1_500
        orders.send(cancellation("short"), cancellation("long"))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as again:
        again.step_until(lambda: again.states, seconds=30, what="it has started again")
        orders.send(order("third", begin + 3_000, begin + 3_010))
        comes_to(again, journal, "third", "done")
    assert journal.schedules["long"].state == "canceled"
    assert sum(raw.event_id.startswith("long") for raw in journal.read_on().raw) == of_long


def test_a_schedule_that_is_canceled_before_its_turn_never_runs(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Ordered and canceled while no fetcher runs."""
    begin = float(int(time.time() - HOUR))
    add(simulator, several(10, begin, 9))
    orders.send(order("never", begin, begin + 10), cancellation("never"), order("then", begin, begin + 5))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as fetcher:
        comes_to(fetcher, journal, "then", "done")
    assert journal.schedules["never"].state == "canceled"
    assert journal.schedules["never"].last_started_at is None


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_schedule_fails_loudly_and_is_tried_again_until_it_works(
    status: int, kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """The other domain's schedule goes on; after five minutes, or a restart, it is asked again."""
    clock, begin = JumpingClock(), float(int(time.time() - HOUR))
    wanted = add(simulator, several(30, begin, 20))
    add(simulator, several(30, begin, 20), OTHER)
    refusal = faults.Refused(status=status, domain=DOMAIN)  # type: ignore[arg-type]  # two of those that it may be
    simulator.scenario = msgspec.structs.replace(simulator.scenario, faults=(refusal,))
    domains = {"MAILGUN_DOMAINS": f"{DOMAIN},{OTHER}"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, domains, clock=clock) as fetcher:
        orders.send(order("refused", begin, begin + 30), order("served", begin, begin + 30, domain=OTHER))
        failed = comes_to(fetcher, journal, "refused", "failed")
        assert str(status) in (failed.last_error or "")
        assert failed.last_started_at is not None
        comes_to(fetcher, journal, "served", "done")
        simulator.scenario = msgspec.structs.replace(simulator.scenario, faults=())
        clock.ahead += REFUSED_SECONDS + 1
        done = comes_to(fetcher, journal, "refused", "done")
    assert done.last_error is None
    assert {identity for identity in journal.counts_of(Loop.SCHEDULED) if identity[0] == DOMAIN} == wanted


def test_a_schedule_waits_out_an_outage(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """It says why it waits, stays running, and is exact in the end."""
    begin = float(int(time.time() - 2 * HOUR))
    wanted = add(simulator, several(600, begin, 900))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, {"FETCH_PAGE_SIZE": "10"}) as fetcher:
        orders.send(order("s", begin, begin + 900))
        fetcher.step_until(
            lambda: len(journal.read_on().counts_of(Loop.SCHEDULED)) > 100, seconds=60, what="it is being fetched"
        )
        simulator.stop()

        def says_why() -> bool:
            state = state_of(journal, "s")
            return state is not None and state.state == "running" and "no complete answer" in (state.last_error or "")

        fetcher.step_until(says_why, seconds=30, what="it says why it waits")
        simulator.start()
        done = comes_to(fetcher, journal, "s", "done", seconds=90)
    assert done.last_error is None
    assert journal.counts_of(Loop.SCHEDULED) == Counter(wanted)


def test_the_daily_sweep_is_ordered_once_a_day_and_finds_what_was_shown_too_late(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """No command is needed, and a restart orders nothing again."""
    settings = {"FETCH_SWEEP_HOURS": "2", "FETCH_TRUST_AGE_SECONDS": "30", "FETCH_MISSING_LOOKBACK_SECONDS": "60"}
    wanted: set[Identity] = add(simulator, several(50, time.time() - HOUR, 600))
    name = f"sweep-{DOMAIN}-{datetime.now(UTC).date().isoformat()}"
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        done = comes_to(fetcher, journal, name, "done")
    assert wanted <= set(journal.counts_of(Loop.SCHEDULED))
    assert done.range_begin is not None
    assert done.range_end is not None
    assert 2 * HOUR - 31 < (done.range_end - done.range_begin) / 1e6 < 2 * HOUR
    written = [state for state in journal.states if state.schedule_id is not None]
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as again:
        again.step_until(
            lambda: {state.status for state in again.states.values()} == {"idle"}, seconds=30, what="it runs again"
        )
    assert [state for state in journal.read_on().states if state.schedule_id is not None] == written


def test_what_is_beyond_the_retention_is_told_and_the_rest_is_fetched(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Mailgun clips silently; the schedule's state, the log and a counter say so."""
    simulator.scenario = msgspec.structs.replace(simulator.scenario, retention_seconds=HOUR)
    now = time.time()
    add(simulator, several(30, now - 3 * HOUR, 600, name="gone"))
    wanted = add(simulator, several(30, now - 0.5 * HOUR, 600, name="kept"))
    settings = {"MAILGUN_RETENTION_HOURS": "1", "FETCH_MISSING_LOOKBACK_SECONDS": "5000"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        orders.send(order("clipped", now - 4 * HOUR, now - 10), order("gone", now - 3 * HOUR, now - 2 * HOUR))
        clipped = comes_to(fetcher, journal, "clipped", "done")
        gone = comes_to(fetcher, journal, "gone", "done")
        counted = {
            loop: fetcher.registry.get_sample_value(
                "mailriver_fetcher_clipped_total", {"loop": loop.value, "domain": DOMAIN}
            )
            for loop in Loop
        }
    assert (clipped.last_error or "").startswith("the first 3 h of the range are beyond Mailgun's retention of 1 h")
    assert (gone.last_error or "").startswith("the whole range is beyond Mailgun's retention")
    assert wanted <= set(journal.counts)
    assert counted == {Loop.LATEST: 0, Loop.LATEST_OPENED: 0, Loop.MISSING: 1, Loop.SCHEDULED: 2}


def test_a_schedule_that_ended_long_ago_is_removed_from_the_state_topic(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """After 30 days; the topic would grow for ever."""
    begin, clock = float(int(time.time() - HOUR)), LaterClock()
    add(simulator, several(10, begin, 9))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, clock=clock) as fetcher:
        orders.send(order("old", begin, begin + 10))
        comes_to(fetcher, journal, "old", "done")
        assert journal.removed == []
    clock.later = 31 * 86_400
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, clock=clock) as later:
        later.step_until(lambda: journal.read_on().removed, seconds=30, what="it is removed")
    assert journal.removed == [f"{DOMAIN}/old".encode()]


class LaterClock(SystemClock):
    """The machine's clock, put forward."""

    def __init__(self) -> None:
        self.later = 0.0

    @override
    def now(self) -> float:
        return super().now() + self.later


def test_latest_is_prompt_while_a_backfill_has_all_the_connections_it_may(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, orders: Orders, simulator: MailgunSimulator
) -> None:
    """Slow answers, many slices: a connection is kept for the latest loops."""
    begin = float(int(time.time() - 2 * HOUR))
    add(simulator, several(4_000, begin, 3_600, name="past"))
    simulator.scenario = msgspec.structs.replace(simulator.scenario, latency_seconds=0.5)
    settings = {"FETCH_PAGE_SIZE": "10", "FETCH_CONCURRENCY": "4"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        orders.send(order("long", begin, begin + 3_600))
        fetcher.step_until(lambda: journal.read_on().counts_of(Loop.SCHEDULED), seconds=60, what="it is being fetched")
        wanted = add(simulator, [one("now", time.time())])
        began = time.monotonic()
        fetcher.step_until(lambda: wanted <= set(journal.read_on().counts), seconds=30, what="latest has it")
        assert time.monotonic() - began < 6
        state = state_of(journal, "long")
        assert state is not None
        assert state.state == "running"


def test_a_transaction_that_fails_for_one_partition_loses_no_command_of_another(
    kafka: KafkaServer,
    topic_prefix: str,
    journal: Journal,
    orders: Orders,
    simulator: MailgunSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both come in one poll; the first one's transaction fails, and both are read again."""
    assert partition_of(DOMAIN.encode(), 6) != partition_of(OTHER.encode(), 6)
    begin = float(int(time.time() - HOUR))
    publish, failed = Lease.publish, Event()

    def hiccup(
        lease: Lease, records: Sequence[Outgoing], consumer: GroupConsumer, command_offset: int | None = None
    ) -> None:
        if command_offset is not None and not failed.is_set():
            failed.set()
            raise Transient("Kafka: a hiccup")
        publish(lease, records, consumer, command_offset)

    settings = {"MAILGUN_DOMAINS": f"{DOMAIN},{OTHER}"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        leases, membership = fetcher.app._leases, fetcher.app._membership
        fetcher.step_until(
            lambda: len(fetcher.states) == 6 and all(lease.is_placed for lease in leases.all),
            seconds=60,
            what="all partitions are held",
        )
        poll, held = membership.poll, dict[Partition, list[Record]]()

        def both_at_once() -> dict[Partition, list[Record]]:
            for place, records in poll().items():
                held.setdefault(place, []).extend(records)
            return dict(held) if len(held) == 2 else {}

        monkeypatch.setattr(membership, "poll", both_at_once)
        monkeypatch.setattr(Lease, "publish", hiccup)
        orders.send(order("one", begin, begin + 1), order("other", begin, begin + 1, domain=OTHER))
        fetcher.step_until(failed.is_set, seconds=30, what="a transaction has failed")
        monkeypatch.setattr(membership, "poll", poll)
        comes_to(fetcher, journal, "one", "done")
        comes_to(fetcher, journal, "other", "done")
