"""A backfill: slices side by side against page after page, at 200 ms a request and without a bound on requests."""

from __future__ import annotations

import random
from collections.abc import Iterator

import httpx

from services.console.adapters.commands import commands_of
from services.console.core.schedules import Order
from services.contracts.reasons import Loop
from services.fetcher.adapters.raw_topic import RawTopic
from services.fetcher.core.page import read_page
from services.sandbox.bench.bare_kafka import Publisher
from services.sandbox.bench.figures import Aim, Figure, Progress, Ratio, Sample
from services.sandbox.bench.world import World
from services.sandbox.demo import API_KEY, DOMAIN
from services.sandbox.mailgun import MailgunSimulator, Scenario, SimulatedEvent, event_of, shapes
from services.sandbox.scrape import scrape, total

SHARE = 5
"""Of so many events of the backlog one is fetched: page after page takes 0.2 s for 300."""
REQUEST_SECONDS = 0.2
FIGURE = Figure(
    "backfill, FETCH_CONCURRENCY 8",
    "events/s",
    (Aim(6.0, at_least=True, of_ratio=True),),
    Ratio.SPEED_UP,
    "a script: request a page, write it to the raw topic, follow its link",
)
_AGO_SECONDS, _RANGE_SECONDS = 7_200, 3_600
_PAGE = 300
_LOOK_SECONDS = 0.05


def measure(world: World) -> Iterator[Sample]:
    """One run of both."""
    begin = int(world.clock.now()) - _AGO_SECONDS
    events = list(_events(world.events // SHARE, begin))
    scenario = Scenario(domains=(DOMAIN,), api_key=API_KEY, latency_seconds=REQUEST_SECONDS)
    with MailgunSimulator(scenario, clock=world.clock.now) as simulator:
        simulator.add(DOMAIN, events)
        sliced = _slices(world, simulator.base_url, begin, len(events))
        yield Sample(FIGURE, sliced, len(events) / _pages(world, simulator.base_url, begin))


def _events(count: int, begin: int) -> Iterator[SimulatedEvent]:
    """Deliveries spread evenly over the range."""
    rng = random.Random(count)
    for number in range(count):
        mail = shapes.Mail(f"reader{number}@example.com", DOMAIN, f"1.{number // 1000}@{DOMAIN}", "email-1")
        at = round(begin + _RANGE_SECONDS * number / count, 6)
        yield event_of(shapes.delivered(mail, at, shapes.new_id(rng)))


def _slices(world: World, base_url: str, begin: int, count: int) -> float:
    """Events a second, from the first that are seen to be published on."""
    prefix = world.prefix(backlog=False)
    # The loops look once, find nothing, and leave the requests to the backfill.
    settings = {"FETCH_CONCURRENCY": "8", "FETCH_INTERVAL_SECONDS": "60"}
    commands = commands_of(world.kafka, world.codec, prefix, world.clock)
    order = Order(DOMAIN, begin * 1_000_000, (begin + _RANGE_SECONDS) * 1_000_000, None)
    try:
        with world.services(prefix, _NO_DATABASE, "fetcher", base_url=base_url, **settings) as services:
            fetcher = services["fetcher"]
            world.await_ready(fetcher)
            progress = Progress(world.clock.monotonic())
            commands.schedule(order)
            for at, done in world.follow(lambda: _published(fetcher.port), count, (fetcher,), every=_LOOK_SECONDS):
                progress.reached(at, done)
    finally:
        commands.close()
    return progress.per_second


_NO_DATABASE = "postgresql://127.0.0.1:1/none"  # the fetcher needs none


def _published(port: int) -> int:
    return int(total(scrape(port), "mailriver_fetcher_events_total", result="published"))


def _pages(world: World, base_url: str, begin: int) -> float:
    """Seconds from the first request to the empty page."""
    prefix = world.prefix(backlog=False)
    raw_topic, publisher = RawTopic(world.codec, prefix), Publisher(world.kafka)
    began = world.clock.monotonic()
    with httpx.Client(auth=("api", API_KEY), trust_env=False) as client:
        query = {"begin": str(begin), "end": str(begin + _RANGE_SECONDS), "ascending": "yes", "limit": str(_PAGE)}
        url = f"{base_url}/v3/{DOMAIN}/events?{httpx.QueryParams(query)}"
        while True:
            world.go_on()
            page = read_page(client.get(url).raise_for_status().content)
            if not page.items or page.next_url is None:
                return world.clock.monotonic() - began
            now = round(world.clock.now() * 1_000_000)
            publisher.publish(raw_topic.records(DOMAIN, Loop.SCHEDULED, page.items, now))
            url = page.next_url
