"""The fetcher on a real Kafka while Mailgun misbehaves: it waits, goes on, loses nothing and passes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from services.contracts.reasons import Loop
from services.fetcher.core.window import LATEST
from services.fetcher.task import REFUSED_SECONDS
from services.sandbox.mailgun import MailgunSimulator, Scenario, SimulatedEvent
from services.sandbox.mailgun import scenario as faults
from services.sandbox.mailgun.scenario import Fault, ResetUnit
from tests.support.fetching import API_KEY, DOMAIN, Fetcher, Journal, JumpingClock, add, several, shown_as
from tests.support.servers import KafkaServer

pytestmark = pytest.mark.integration
OTHER = "mg.example.org"


def scenario(*struck: Fault, seed: int = 1) -> Scenario:
    return Scenario(api_key=API_KEY, domains=(DOMAIN, OTHER), faults=struck, seed=seed)


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(scenario(), clock=time.time) as running:
        yield running


@pytest.fixture
def fetcher(kafka: KafkaServer, topic_prefix: str, simulator: MailgunSimulator) -> Iterator[Fetcher]:
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, {"FETCH_PAGE_SIZE": "20"}) as running:
        yield running


def step_through(fetcher: Fetcher, journal: Journal, events: list[SimulatedEvent], *, seconds: float) -> None:
    """Step until all events are in Kafka, each once; between any two steps no cursor has passed one that is not."""
    wanted = {shown_as(DOMAIN, event) for event in events}
    shown = [(DOMAIN, event) for event in events]

    def arrived() -> bool:
        journal.read_on().check_cursors(shown)
        return wanted <= set(journal.counts)

    fetcher.step_until(arrived, seconds=seconds, what=f"{len(wanted)} events are in the raw topic")
    assert journal.counts.keys() == wanted
    assert set(journal.counts.values()) == {1}, "published twice"


def has_grown(fetcher: Fetcher, loop: Loop, lag: float) -> bool:
    return fetcher.lag(loop) > lag + 2


FAULTS: dict[str, Fault] = {
    "429 in JSON, retry-after in seconds": faults.TooManyRequests(to_request=3),
    "429 in text, retry-after as a date": faults.TooManyRequests(to_request=3, body="text", retry_after_as="date"),
    "429, retry-seconds in the body alone": faults.TooManyRequests(
        to_request=3, body="retry_seconds", retry_after_seconds=None
    ),
    "429, reset in seconds": faults.TooManyRequests(
        to_request=3, retry_after_seconds=None, reset_unit=ResetUnit.SECONDS
    ),
    "429, reset in milliseconds": faults.TooManyRequests(
        to_request=3, retry_after_seconds=None, reset_unit=ResetUnit.MILLISECONDS
    ),
    "500": faults.ServerError(status=500, to_request=3),
    "503 in the middle": faults.ServerError(status=503, from_request=3, to_request=6),
    "slow": faults.Slow(seconds=1.0, to_request=4),
    "cut answer": faults.CutAnswer(from_request=2, to_request=5),
    "cut JSON": faults.CutJson(from_request=2, to_request=5),
    "foreign next": faults.ForeignNext(from_request=2, to_request=5),
    "no next": faults.NoNext(from_request=2, to_request=5),
    "empty paging": faults.EmptyPaging(from_request=2, to_request=5),
    "oversized": faults.Oversized(from_request=2, to_request=4),
    "remaining 0, no reset": faults.UsedUp(to_request=3, reset_unit=ResetUnit.NONE),
    "remaining 0, reset in milliseconds": faults.UsedUp(to_request=3, reset_unit=ResetUnit.MILLISECONDS),
    "odd items": faults.OddItems(rate=0.5),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_fetcher_waits_out_each_fault_and_publishes_every_event_once(
    fault: Fault, fetcher: Fetcher, journal: Journal, simulator: MailgunSimulator
) -> None:
    """The loop that was struck says so in its state, and forgets it with the first good page."""
    events = several(120, time.time() - 20, 20)
    add(simulator, events)
    simulator.scenario = scenario(fault)
    step_through(fetcher, journal, events, seconds=45)
    assert simulator.stats().faults, "the fault has never struck"
    fetcher.step_until(
        lambda: {state.status for state in fetcher.states.values()} == {"idle"}, seconds=20, what="all is well again"
    )
    journal.read_on()
    assert {state.last_error for state in journal.last_states.values()} == {None}
    assert fetcher.health.live() == {}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_third_of_all_answers_spoilt_in_every_way_loses_and_doubles_nothing(
    seed: int, fetcher: Fetcher, journal: Journal, simulator: MailgunSimulator
) -> None:
    """Events keep happening meanwhile; every kind of fault has its share."""
    rate = 0.05
    events = several(400, time.time() - 10, 16)
    add(simulator, events)
    simulator.scenario = scenario(
        faults.TooManyRequests(rate=rate, retry_after_seconds=0),
        faults.ServerError(rate=rate),
        faults.CutAnswer(rate=rate),
        faults.CutJson(rate=rate),
        faults.ForeignNext(rate=rate),
        faults.NoNext(rate=rate),
        faults.OddItems(rate=rate),
        faults.Slow(rate=rate, seconds=0.3),
        seed=seed,
    )
    step_through(fetcher, journal, events, seconds=120)
    assert len(simulator.stats().faults) >= 5


def test_nobody_listening_shows_as_growing_lag_and_ends_by_itself(
    fetcher: Fetcher, journal: Journal, simulator: MailgunSimulator
) -> None:
    """The process stays alive, the loops tell why they wait, and what happened meanwhile arrives afterwards."""
    before = several(30, time.time() - 5, 4, name="before")
    add(simulator, before)
    step_through(fetcher, journal, before, seconds=30)
    simulator.stop()
    meanwhile = several(30, time.time(), 3, name="meanwhile")
    add(simulator, meanwhile)

    for loop in LATEST:
        lag = fetcher.lag(loop)
        assert lag > 0
        fetcher.step_until(partial(has_grown, fetcher, loop, lag), seconds=20, what="the lag grows")
    fetcher.step_until(
        lambda: {fetcher.states[DOMAIN, loop].status for loop in LATEST} == {"backing_off"},
        seconds=20,
        what="both loops say that they back off",
    )
    assert "no complete answer" in (journal.read_on().last_states[DOMAIN, Loop.LATEST].last_error or "")
    assert fetcher.health.live() == {}
    assert "mailgun" in fetcher.health.ready()

    simulator.start()
    step_through(fetcher, journal, before + meanwhile, seconds=60)
    fetcher.step_until(lambda: max(map(fetcher.lag, LATEST)) < 1.5, seconds=30, what="the lag is small again")
    assert fetcher.health.ready() == {}


def test_requests_that_fail_together_are_one_failure_of_the_account(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """Else four loops in one short fault would make the account wait eight times as long."""
    events = several(30, time.time() - 5, 4)
    wanted = add(simulator, events, DOMAIN) | add(simulator, events, OTHER)
    simulator.scenario = scenario(faults.ServerError(to_request=4))
    settings = {"MAILGUN_DOMAINS": f"{DOMAIN},{OTHER}", "FETCH_CONCURRENCY": "4"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        fetcher.step_until(lambda: wanted <= set(journal.read_on().counts), seconds=30, what="all events")
        assert simulator.stats().requests[503] == 4
        assert fetcher.registry.get_sample_value("mailriver_fetcher_throttled_seconds_total") == 0.5


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_domain_that_is_refused_fails_loudly_alone_and_is_tried_again_after_five_minutes(
    status: int, kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """The other domain's events go on arriving meanwhile."""
    clock = JumpingClock()
    events = several(30, time.time() - 5, 4)
    refused, served = add(simulator, events, DOMAIN), add(simulator, events, OTHER)
    fault = faults.Refused(status=status, domain=DOMAIN)  # type: ignore[arg-type]  # the four that it may be
    simulator.scenario = scenario(fault)
    domains = {"MAILGUN_DOMAINS": f"{DOMAIN},{OTHER}"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, domains, clock=clock) as fetcher:

        def both_failed() -> bool:
            states = journal.read_on().last_states
            return {states[DOMAIN, loop].state for loop in LATEST if (DOMAIN, loop) in states} == {"failed"}

        fetcher.step_until(
            lambda: both_failed() and served <= set(journal.counts), seconds=30, what="one domain failed"
        )
        asked = simulator.stats().requests[status]
        assert asked == 2, "a refused domain is left alone"
        later = add(simulator, several(10, time.time(), 1, name="later"), OTHER)
        fetcher.step_until(lambda: later <= set(journal.read_on().counts), seconds=30, what="the other domain goes on")
        assert simulator.stats().requests[status] == asked
        for loop in LATEST:
            state = journal.last_states[DOMAIN, loop]
            assert state.state == "failed"
            assert str(status) in (state.last_error or "")
        simulator.scenario = scenario()
        clock.ahead += REFUSED_SECONDS + 1
        fetcher.step_until(lambda: refused <= set(journal.read_on().counts), seconds=30, what="it is tried again")
        assert set(journal.counts.values()) == {1}
        assert journal.last_states[DOMAIN, Loop.LATEST].last_error is None


def test_a_request_that_hangs_holds_up_neither_the_end_of_the_process_nor_the_next_start(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """What was under way is asked again by the next one."""
    events = several(30, time.time() - 5, 4)
    add(simulator, events)
    simulator.scenario = scenario(faults.Slow(seconds=50))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as hanging:
        hanging.step_until(lambda: simulator.stats().requests.get(200, 0) >= 2, seconds=30, what="requests hang")
        began = time.monotonic()
    assert time.monotonic() - began < 15
    simulator.scenario = scenario()
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as fetcher:
        step_through(fetcher, journal, events, seconds=30)
