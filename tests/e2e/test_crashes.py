"""Whole processes killed in the middle of a newsletter: nothing lost, nothing twice."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from random import Random

import psycopg
import pytest

from services.contracts.identity import occurred_at
from services.sandbox import newsletter as newsletters
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.newsletter import Newsletter
from tests.support.river import NewRiver
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(400)]

DOMAIN = "mg.example.com"
API_KEY = "key-of-the-simulator"


def has_passed(instant: float) -> bool:
    return time.time() > instant


def send(simulator: MailgunSimulator, database_url: str, *, recipients: int, seconds: float, seed: int) -> Newsletter:
    newsletter = newsletters.plan(
        recipients, seed=seed, start=time.time() + 1, duration_seconds=seconds, late_seconds=2.0, domain=DOMAIN
    )
    with psycopg.connect(database_url) as connection:
        newsletters.insert(newsletter, connection)
    simulator.add(DOMAIN, newsletter.events)
    return newsletter


@pytest.mark.parametrize("victim", ["fetcher", "processor", "storage"])
def test_a_service_killed_again_and_again_loses_and_doubles_nothing(
    victim: str, new_river: NewRiver, database_url: str
) -> None:
    """kill -9 at random moments of the course, started again each time; then every row and every event is counted."""
    random = Random(f"kill {victim}")
    with (
        MailgunSimulator(Scenario(domains=(DOMAIN,), api_key=API_KEY), clock=time.time) as simulator,
        new_river(simulator.base_url, FETCH_MAX_EVENTS="500") as river,
    ):
        river.start()
        newsletter = send(simulator, database_url, recipients=4_000, seconds=20.0, seed=random.randrange(10**6))
        ends = max(event.visible_at for event in newsletter.events)
        kills = 0
        while time.time() < ends:
            due = time.time() + random.uniform(3.0, 7.0)
            wait_until(partial(has_passed, due), seconds=20, what="the next kill is due")
            river.kill(victim)
            kills += 1
        river.wait_for(newsletter, seconds=90)
        assert kills >= 3
        assert river.more_often_than_fetched() == {}
        counts = Counter((raw.event_id, raw.occurred_at) for raw in river.raw_events())
        assert set(counts) == {(each.id, occurred_at(each.timestamp)) for each in newsletter.events}
        if victim != "fetcher":
            assert set(counts.values()) == {1}, "the fetcher published something twice without having been killed"


def test_services_stop_at_once_and_without_loss_when_told_to(new_river: NewRiver, database_url: str) -> None:
    """SIGTERM in the middle of the work: each ends by itself with exit code 0 and the next start goes on."""
    with (
        MailgunSimulator(Scenario(domains=(DOMAIN,), api_key=API_KEY), clock=time.time) as simulator,
        new_river(simulator.base_url) as river,
    ):
        river.start()
        newsletter = send(simulator, database_url, recipients=2_000, seconds=10.0, seed=7)
        wait_until(lambda: len(river.raw_events()) > 500, seconds=60, what="some events are fetched")
        for service in river.services.values():
            began = time.monotonic()
            service.stop()
            assert service.exit_code == 0, service.tail()
            assert time.monotonic() - began < 20, f"{service.name} took its time"
            service.start()
        river.wait_for(newsletter, seconds=90)
        assert river.more_often_than_fetched() == {}
