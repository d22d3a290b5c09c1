"""Several fetchers on one prefix: they share the domains, hand them over, and fence each other off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.contracts import topics
from services.fetcher.core.window import LATEST
from services.runtime.bus.api import Outgoing
from services.runtime.errors import Transient
from services.sandbox.mailgun import MailgunSimulator, Scenario
from tests.support.fetching import API_KEY, Fetcher, Identity, Journal, Stepping, add, several
from tests.support.servers import KafkaServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
DOMAINS = tuple(f"mg{number}.example.com" for number in range(8))
ALL = {"MAILGUN_DOMAINS": ",".join(DOMAINS), "FETCH_PAGE_SIZE": "10"}
SESSION_SECONDS = 6


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(Scenario(api_key=API_KEY, domains=DOMAINS), clock=time.time) as running:
        yield running


@pytest.fixture
def impatient(tmp_path: Path) -> dict[str, str]:
    """Settings with which a fetcher that does not poll is soon missed."""
    file = tmp_path / "kafka.properties"
    file.write_text(f"session.timeout.ms={SESSION_SECONDS * 1000}\nmax.poll.interval.ms={SESSION_SECONDS * 1000}\n")
    return {**ALL, "KAFKA_PROPERTIES_FILE": str(file)}


def happen(simulator: MailgunSimulator, name: str, seconds: float) -> set[Identity]:
    """Events in all domains over the coming seconds."""
    now = time.time()
    return {identity for domain in DOMAINS for identity in add(simulator, several(60, now, seconds, name=name), domain)}


def wait_for(journal: Journal, wanted: set[Identity]) -> None:
    """All of these are in Kafka, and nothing is there twice."""
    wait_until(lambda: wanted <= set(journal.read_on().counts), seconds=60, what="all events are in the raw topic")
    assert journal.counts.keys() == wanted
    assert {identity: times for identity, times in journal.counts.items() if times > 1} == {}


def wait_for_shares(one: Fetcher, other: Fetcher) -> None:
    """Both have a share, and together they have each domain once."""
    wait_until(
        lambda: one.domains and other.domains and sorted([*one.domains, *other.domains]) == sorted(DOMAINS),
        seconds=60,
        what="the domains are shared",
    )


def test_two_fetchers_share_the_domains_and_one_takes_all_when_the_other_leaves(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """Events keep coming while the domains change hands; each is published exactly once."""
    one = Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, ALL)
    with one, Stepping(one):
        wait_until(lambda: one.domains == set(DOMAINS), seconds=60, what="the only fetcher has all")
        wanted = happen(simulator, "joining", 8)
        other = Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, ALL)
        with other, Stepping(other):
            wait_for_shares(one, other)
            wait_for(journal, wanted)
            wanted |= happen(simulator, "leaving", 8)
        wait_until(lambda: one.domains == set(DOMAINS), seconds=60, what="the one that stays has all again")
        assert other.domains == set()
        wait_for(journal, wanted)
        for fetcher in (one, other):
            assert fetcher.health.live() == {}


def test_a_fetcher_that_stands_still_is_replaced_and_can_publish_nothing_more(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator, impatient: dict[str, str]
) -> None:
    """When it moves again it is fenced, joins anew and has a share; each event is published exactly once."""
    frozen = Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, impatient)
    other = Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, impatient)
    with frozen, other, Stepping(frozen) as stepping:
        wait_until(lambda: frozen.domains == set(DOMAINS), seconds=60, what="the first has all")
        with Stepping(other):
            wait_for_shares(frozen, other)
            wanted = happen(simulator, "meanwhile", 15)
            stepping.pause()
            wait_until(lambda: other.domains == set(DOMAINS), seconds=60, what="the other has taken all over")
            consumer = frozen.app._membership.consumer
            raw = topics.prefixed(topic_prefix, topics.RAW)
            for lease in list(frozen.app._leases._held.values()):
                with pytest.raises(Transient):
                    lease.publish([Outgoing(raw, b"a zombie's", b"a zombie's")], consumer)
            wait_for(journal, wanted)
            stepping.resume()
            wait_for_shares(frozen, other)
            wanted |= happen(simulator, "again", 5)
            wait_for(journal, wanted)
            assert frozen.health.live() == {}


def test_a_fetcher_that_the_group_gives_nothing_is_ready_in_reserve(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """One domain, two fetchers: the one without it has nothing to do, and that is no fault."""
    settings = {"MAILGUN_DOMAINS": DOMAINS[0]}
    one = Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings)
    other = Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings)
    with one, other, Stepping(one), Stepping(other):
        wait_until(lambda: one.health.ready() == other.health.ready() == {}, seconds=60, what="both are ready")
        wait_until(lambda: len(one.domains) + len(other.domains) == 1, seconds=60, what="one of them has the domain")
        wanted = add(simulator, several(20, time.time() - 5, 4), DOMAINS[0])
        wait_for(journal, wanted)
        assert {loop for _, loop in journal.last_states} >= set(LATEST)
