"""How long after it is visible at Mailgun an event is in Postgres, with margin 0 and an interval of half a second."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import psycopg

from services.fetcher.core.page import read_page
from services.sandbox import newsletter as newsletters
from services.sandbox.bench.figures import Aim, Figure, Sample, percentile
from services.sandbox.bench.world import World
from services.sandbox.demo import API_KEY, DOMAIN
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.newsletter import Newsletter
from services.sandbox.stack import SERVICES

SHARE = 200
"""Of so many events of the backlog one is sent, at about ``RATE``."""
RATE = 50.0
_FEWEST = 50
INTERVAL_SECONDS = 0.5
_FLOOR = "a bare poll of the simulator with the same interval, nothing written"
MIDDLE = Figure("visible at Mailgun to Postgres, p50", "s", floor=_FLOOR)
WORST = Figure("visible at Mailgun to Postgres, p99", "s", (Aim(2.0, at_least=False),), floor=_FLOOR)
_LOOK_SECONDS = 0.01
_START_SECONDS = 1.0
_SEEN = """
SELECT seen.id, seen.at
  FROM mailriver.email_recipients AS r,
       LATERAL (VALUES ('d' || r.id, r.first_delivered_at), ('o' || r.id, r.opened_at),
                       ('c' || r.id, r.clicked_at), ('f' || r.id, r.failed_at)) AS seen (id, at)
 WHERE seen.at IS NOT NULL
"""


def measure(world: World) -> Iterator[Sample]:
    """One run: a small newsletter while it happens."""
    dsn, prefix = world.empty_database(), world.prefix(backlog=False)
    settings = {"FETCH_INTERVAL_SECONDS": str(INTERVAL_SECONDS), "FETCH_END_MARGIN_SECONDS": "0"}
    with (
        MailgunSimulator(Scenario(domains=(DOMAIN,), api_key=API_KEY), clock=world.clock.now) as simulator,
        psycopg.connect(dsn, autocommit=True) as connection,
        world.services(prefix, dsn, *SERVICES, base_url=simulator.base_url, **settings) as services,
    ):
        for service in services.values():
            world.await_ready(service)
        newsletter = _newsletter(world)
        newsletters.insert(newsletter, connection)
        simulator.add(DOMAIN, newsletter.events)
        truth = newsletters.expected_recipients(newsletter)
        columns = ("first_delivered_at", "opened_at", "clicked_at", "failed_at")
        total = sum(getattr(row, column) is not None for row in truth.values() for column in columns)
        seconds: dict[str, float] = {}

        def look() -> int:
            rows = connection.execute(_SEEN).fetchall()
            now = world.clock.now()
            for key, at in rows:
                seconds.setdefault(key, now - at.timestamp())
            return len(seconds)

        with _Poll(world, simulator.base_url, newsletter.start) as poll:
            for _ in world.follow(look, total, services.values(), every=_LOOK_SECONDS, seconds=120):
                pass
    for figure, percent in ((MIDDLE, 50), (WORST, 99)):
        yield Sample(figure, percentile(list(seconds.values()), percent), percentile(poll.seconds, percent))


def _newsletter(world: World) -> Newsletter:
    events = max(_FEWEST, world.events // SHARE)
    return newsletters.plan(
        round(events / 1.7),
        seed=11,
        start=world.clock.now() + _START_SECONDS,
        duration_seconds=events / RATE,
        late_seconds=0.0,
        domain=DOMAIN,
    )


class _Poll:
    """Asks the simulator every half a second from the last instant on, and notes how old each new event is."""

    def __init__(self, world: World, base_url: str, begin: float) -> None:
        self.seconds: list[float] = []
        self._world, self._url, self._begin = world, f"{base_url}/v3/{DOMAIN}/events", begin
        self._seen: set[str] = set()
        self._ends = Event()
        self._pool = ThreadPoolExecutor(1, "bare-poll")

    def __enter__(self) -> _Poll:
        self._running = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._pool.shutdown()
        self._running.result()

    def _run(self) -> None:
        with httpx.Client(auth=("api", API_KEY), trust_env=False) as client:
            while not self._ends.wait(INTERVAL_SECONDS):
                self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        end = self._world.clock.now()
        query = {"begin": f"{self._begin - 0.001:.3f}", "end": f"{end:.3f}", "ascending": "yes"}
        url = f"{self._url}?{httpx.QueryParams(query)}" if self._begin < end else None
        while url is not None:
            page = read_page(client.get(url).raise_for_status().content)
            now = self._world.clock.now()
            for item in page.items:
                at = (item.occurred_at or 0) / 1_000_000
                if item.event_id not in self._seen:
                    self._seen.add(item.event_id)
                    self.seconds.append(now - at)
                self._begin = max(self._begin, at)
            url = page.next_url if page.items else None
