"""A backlog of a million events must not show in the memory of a service."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from services.sandbox.mailgun import MailgunSimulator, Scenario, SimulatedEvent
from services.sandbox.scrape import scrape, total
from services.sandbox.stack import Service
from tests.support.river import NewRiver, River
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(1500)]

EVENTS = 1_000_000
RECIPIENTS = 50_000
MOST_MEGABYTES = 200
DOMAIN = "mg.example.com"

_ITEM = (
    '{"event":"%s","id":"%022d","timestamp":%.6f,"log-level":"info","recipient":"reader%d@example.com",'
    '"recipient-domain":"example.com","envelope":{"transport":"smtp","sender":"news@mg.example.com",'
    '"sending-ip":"192.0.2.25","targets":"reader%d@example.com"},"delivery-status":{"tls":true,'
    '"mx-host":"mx1.example.com","code":250,"description":"","session-seconds":0.43,"utf8":true,"attempt-no":1,'
    '"message":"OK","certificate-verified":true},"flags":{"is-routed":false,"is-authenticated":true,'
    '"is-system-test":false,"is-test-mode":false},"message":{"headers":{"to":"reader%d@example.com",'
    '"message-id":"20260820100000.dd2a3dae9ac35f26@mg.example.com","from":"Example News <news@mg.example.com>",'
    '"subject":"August digest"},"attachments":[],"size":1204},"storage":{"region":"us-east4","env":"production",'
    '"key":"BAABAQhBl1AhYPaaiCyBv70PC6jfGYCHgJ"},"tags":["bulk-email","newsletter"],"campaigns":[],'
    '"user-variables":{"email-id":"email-1"}}'
)


def backlog(start: float) -> Iterator[SimulatedEvent]:
    """A million events of the last minutes, each a millisecond after the one before."""
    for number in range(EVENTS):
        kind = "delivered" if number % 2 else "opened"
        reader, at = number % RECIPIENTS, start + number / 1_000
        payload = (_ITEM % (kind, number, at, reader, reader, reader)).encode()
        yield SimulatedEvent(payload, at, kind, f"{number:022d}", at)


def insert_recipients(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO mailriver.emails (id, subject, submitted_at) VALUES ('email-1', 'August digest', now())"
        )
        connection.execute(
            "INSERT INTO mailriver.email_recipients (id, email_id, member_email) "
            "SELECT 'recipient-' || n, 'email-1', 'reader' || n || '@example.com' FROM generate_series(0, %s::int) n",
            (RECIPIENTS - 1,),
        )


def work_off(river: River, service: Service, counter: str, **labels: str) -> float:
    """Start a service, wait until it has counted all events; the largest megabytes that its memory has been."""
    service.start()
    process = psutil.Process(service.pid)
    most = 0.0

    def is_done() -> bool:
        nonlocal most
        assert service.running, service.tail()
        most = max(most, process.memory_info().rss / 1024 / 1024)
        return total(scrape(service.port, timeout=10), counter, **labels) >= EVENTS

    began = time.monotonic()
    wait_until(is_done, seconds=600, what=f"{service.name} has done {EVENTS} events", every=0.5)
    seconds = time.monotonic() - began
    print(f"{service.name}: {EVENTS / seconds:,.0f} events/s with its start, at most {most:.0f} MB")  # noqa: T201
    service.stop()
    return most


def test_memory_stays_flat_over_a_million_events(new_river: NewRiver, database_url: str) -> None:
    """Each service alone works a backlog of a million off, one after the other, below 200 MB."""
    insert_recipients(database_url)
    scenario = Scenario(domains=(DOMAIN,), api_key="key-of-the-simulator")
    with MailgunSimulator(scenario, clock=time.time) as simulator:
        simulator.add(DOMAIN, backlog(time.time() - EVENTS / 1_000 - 60))
        with new_river(simulator.base_url, FETCH_LOOKBACK_SECONDS="3600", FETCH_MISSING_LOOKBACK_SECONDS="10") as river:
            services = river.services
            memory = {
                "fetcher": work_off(river, services["fetcher"], "mailriver_fetcher_events_total", result="published"),
                "processor": work_off(river, services["processor"], "mailriver_consumer_outcomes_total"),
                "storage": work_off(river, services["storage"], "mailriver_storage_events_total"),
            }
    assert max(memory.values()) < MOST_MEGABYTES, memory
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM mailriver.email_recipients WHERE delivered_at IS NOT NULL OR opened_at IS NOT NULL"
        ).fetchone()
    assert row == (RECIPIENTS,)
