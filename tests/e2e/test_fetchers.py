"""Fetchers as whole processes, killed and frozen while they fetch: nothing lost, nothing twice, nobody in two hands."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from services.contracts.events import FetchState
from services.contracts.reasons import Loop
from services.fetcher.core.window import POLLING
from services.sandbox.mailgun import MailgunSimulator, Scenario
from tests.support.fetchers import SESSION_SECONDS, Fetchers
from tests.support.fetching import API_KEY, DOMAIN, Identity, Journal, Orders, add, order, several
from tests.support.servers import KafkaServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(500)]
DOMAINS = tuple(f"mg{number}.example.com" for number in range(5))


@pytest.fixture
def journal(kafka: KafkaServer, topic_prefix: str) -> Iterator[Journal]:
    with Journal(kafka.bootstrap, topic_prefix) as reading:
        yield reading


def has_more(journal: Journal, loop: Loop, than: int) -> bool:
    return len(journal.read_on().counts_of(loop)) > than


def test_a_backfill_in_slices_is_exact_under_kill_9(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, tmp_path: Path
) -> None:
    """Killed three times in the middle of seven slices; each event of the range is there once, and latest is right."""
    begin = float(int(time.time() - 7200))
    scenario = Scenario(api_key=API_KEY, domains=(DOMAIN,), latency_seconds=0.1)
    with MailgunSimulator(scenario, clock=time.time) as simulator:
        wanted = add(simulator, several(20_000, begin + 3_000, 400, name="past"))
        add(simulator, several(10, begin + 3_600, 10, name="outside"))
        recent = add(simulator, several(300, time.time(), 40, name="recent"))
        Orders(kafka.bootstrap, topic_prefix).send(order("past", begin, begin + 3_600))
        settings = {"MAILGUN_DOMAINS": DOMAIN, "FETCH_CONCURRENCY": "8", "FETCH_PAGE_SIZE": "60"}
        fetchers = Fetchers(
            1,
            bootstrap=kafka.bootstrap,
            prefix=topic_prefix,
            base_url=simulator.base_url,
            folder=tmp_path,
            settings=settings,
        )
        with fetchers:
            sliced = 0
            for part in (2_000, 7_000, 12_000):
                wait_until(
                    partial(has_more, journal, Loop.SCHEDULED, part), seconds=90, what=f"{part} events are fetched"
                )
                fetchers.kill(fetchers.all[0])
                sliced = max(sliced, len(journal.read_on().schedules["past"].slices))
            assert sliced == 7
            wait_until(lambda: is_done(journal, "past"), seconds=120, what="the backfill is done")
            wait_until(lambda: recent <= set(journal.read_on().counts), seconds=60, what="latest has its events")
    assert journal.counts_of(Loop.SCHEDULED) == Counter(wanted)
    assert set(journal.counts.values()) == {1}


def is_done(journal: Journal, schedule_id: str) -> bool:
    state = journal.read_on().schedules.get(schedule_id)
    return state is not None and state.state == "done"


def writes_of(journal: Journal) -> Counter[tuple[str, str]]:
    """How often each loop has written its state."""
    return Counter((state.domain, state.loop) for state in journal.read_on().states)


def went_on(journal: Journal, before: Counter[tuple[str, str]]) -> bool:
    """Whether every loop has written its state three times since."""
    now = writes_of(journal)
    return all(now[domain, loop] >= before[domain, loop] + 3 for domain in DOMAINS for loop in POLLING)


def has_arrived(journal: Journal, wanted: set[Identity]) -> bool:
    return wanted <= set(journal.read_on().counts)


def test_three_fetchers_of_five_domains_each_killed_and_frozen_in_turn(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, tmp_path: Path
) -> None:
    """Every loop goes on each time; a frozen one that wakes up publishes nothing more of what is not its own."""
    settings = {
        "MAILGUN_DOMAINS": ",".join(DOMAINS),
        "FETCH_PAGE_SIZE": "10",
        "FETCH_TRUST_AGE_SECONDS": "2",
        "FETCH_MISSING_LOOKBACK_SECONDS": "5",
    }
    with MailgunSimulator(Scenario(api_key=API_KEY, domains=DOMAINS), clock=time.time) as simulator:
        fetchers = Fetchers(
            3,
            bootstrap=kafka.bootstrap,
            prefix=topic_prefix,
            base_url=simulator.base_url,
            folder=tmp_path,
            settings=settings,
        )
        with fetchers:
            wait_until(lambda: went_on(journal, Counter()), seconds=90, what="every loop runs")
            wanted: set[Identity] = set()
            for number, victim in enumerate(fetchers.all):
                for fault in ("kill", "freeze"):
                    name = f"{fault}{number}-"
                    for domain in DOMAINS:
                        wanted |= add(simulator, several(80, time.time(), 12, name=name), domain)
                    before = writes_of(journal)
                    if fault == "kill":
                        victim.kill()
                    else:
                        fetchers.freeze(victim)
                    wait_until(
                        partial(went_on, journal, before), seconds=60 + SESSION_SECONDS, what="every loop goes on"
                    )
                    wait_until(partial(has_arrived, journal, wanted), seconds=60, what="all events are there")
                    if fault == "kill":
                        victim.start()
                    else:
                        fetchers.wake(victim)
                    wait_until(partial(went_on, journal, writes_of(journal)), seconds=90, what="and with all three")
            assert all(service.running for service in fetchers.all), fetchers.said()
    assert journal.read_on().counts.keys() == wanted
    never_in_two_hands(journal)


def never_in_two_hands(journal: Journal) -> None:
    """No loop has published an event twice, and no cursor has gone back, as a zombie's page would make it."""
    for loop in POLLING:
        assert set(journal.counts_of(loop).values()) <= {1}, loop
    last: dict[tuple[str, str], FetchState] = {}
    for state in journal.states:
        before = last.get((state.domain, state.loop), state)
        assert (state.begin, state.events_total) >= (before.begin, before.events_total), state.domain
        last[state.domain, state.loop] = state
