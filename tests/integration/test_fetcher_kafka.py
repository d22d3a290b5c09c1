"""The fetcher while its Kafka is killed, away or frozen: it waits, stays alive, and goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from services.sandbox.kafka import EmbeddedKafka
from services.sandbox.mailgun import MailgunSimulator, Scenario
from tests.support.fetching import API_KEY, DOMAIN, Fetcher, Identity, Journal, Stepping, add, several
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(Scenario(api_key=API_KEY, domains=(DOMAIN,)), clock=time.time) as running:
        yield running


@pytest.fixture
def broker(tmp_path: Path, kafka_libs: Path) -> Iterator[EmbeddedKafka]:
    """A broker of this test's own."""
    server = EmbeddedKafka(tmp_path / "kafka", libs=kafka_libs, heap_mb=384)
    server.start()
    yield server
    server.kill()


def has_more(journal: Journal, than: int) -> bool:
    return len(journal.read_on(60).counts) > than


def let_pass(fetcher: Fetcher, seconds: float) -> None:
    """Some seconds go by; the fetcher is alive in all of them."""
    until = time.monotonic() + seconds

    def passed() -> bool:
        assert fetcher.health.live() == {}
        return time.monotonic() > until

    wait_until(passed, seconds=seconds + 30, what="the time has passed")


def wait_for(fetcher: Fetcher, journal: Journal, wanted: set[Identity]) -> None:
    """All of these are in Kafka, each once, and the fetcher was alive all the time."""

    def arrived() -> bool:
        assert fetcher.health.live() == {}
        return wanted <= set(journal.read_on(60).counts)

    wait_until(arrived, seconds=90, what="all events are in the raw topic")
    assert journal.counts.keys() == wanted
    assert set(journal.counts.values()) == {1}


def test_kafka_killed_under_the_fetcher_and_started_again(broker: EmbeddedKafka, simulator: MailgunSimulator) -> None:
    """Twice: while the loops run, and again right after it has come back."""
    with Journal(broker.bootstrap, "") as journal:
        fetcher = Fetcher(broker.bootstrap, "", simulator.base_url, {"FETCH_PAGE_SIZE": "20"})
        with fetcher, Stepping(fetcher):
            wanted = add(simulator, several(300, time.time(), 25))
            for downtime in (1.0, 15.0):
                before = len(journal.read_on(60).counts)
                wait_until(partial(has_more, journal, before), seconds=60, what="it publishes")
                broker.kill()
                let_pass(fetcher, downtime)
                broker.start()
            wait_for(fetcher, journal, wanted)


def test_kafka_frozen_for_longer_than_the_session(broker: EmbeddedKafka, simulator: MailgunSimulator) -> None:
    """Connections stay open and nobody answers for 25 s; the transaction that was under way is decided one way only."""
    with Journal(broker.bootstrap, "") as journal:
        fetcher = Fetcher(broker.bootstrap, "", simulator.base_url, {"FETCH_PAGE_SIZE": "20"})
        with fetcher, Stepping(fetcher):
            wanted = add(simulator, several(300, time.time(), 10))
            wait_until(lambda: len(journal.read_on(60).counts) > 20, seconds=60, what="it publishes")
            broker.pause()
            let_pass(fetcher, 25.0)
            broker.resume()
            wait_for(fetcher, journal, wanted)


def test_a_fetcher_that_starts_before_its_kafka_waits_for_it(
    broker: EmbeddedKafka, simulator: MailgunSimulator
) -> None:
    """It is alive and not ready meanwhile, and says what it waits for."""
    with Journal(broker.bootstrap, "") as journal:
        broker.kill()
        fetcher = Fetcher(broker.bootstrap, "", simulator.base_url)
        with fetcher, Stepping(fetcher):
            wanted = add(simulator, several(30, time.time() - 5, 4))
            wait_until(lambda: "Kafka" in fetcher.health.ready().get("kafka", ""), seconds=40, what="it says why")
            assert fetcher.health.live() == {}
            broker.start()
            wait_for(fetcher, journal, wanted)
            wait_until(lambda: fetcher.health.ready() == {}, seconds=30, what="it is ready")
