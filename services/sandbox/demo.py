"""`mailriver demo`: a newsletter through everything, then Postgres against what really happened."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from services.runtime.clock import Deadline, SystemClock
from services.runtime.lifecycle import Stop
from services.runtime.settings import is_ours
from services.sandbox import newsletter as newsletters
from services.sandbox.folders import temporary_folder
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.newsletter import HeldBack, Newsletter
from services.sandbox.ports import free_port
from services.sandbox.progress import FlowDisplay, counted
from services.sandbox.scrape import Flow, FlowMeter
from services.sandbox.stack import SERVICES, Servers, Stack
from services.sandbox.truth import Comparison, compare
from services.storage.adapters.audit import Auditor
from services.storage.core.audit import Summary

DOMAIN = "mg.example.com"
API_KEY = "key-of-the-simulator"
LATE_SECONDS = 3.0
_START_IN_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_COMPARE_EVERY = 4
_ONE_HELD_BACK_OF = 100
_HELD_BACK_SECONDS = 0.5


# A service that was killed is missed after 3 s instead of 10: nobody wants to watch a demonstration wait.
_QUICK_TAKEOVER = "session.timeout.ms=3000\nheartbeat.interval.ms=500\n"


class DemoOptions(msgspec.Struct, frozen=True):
    """What the user chose."""

    recipients: int
    seed: int
    seconds: float
    """How long the newsletter's course takes."""
    keep: Path | None
    """Where the servers' data stays, or None: it goes."""


def fast_loops(base_url: str) -> dict[str, str]:
    """Settings of services on this machine: hours of Mailgun's time squeezed into seconds."""
    return {
        "MAILGUN_API_KEY": API_KEY,
        "MAILGUN_DOMAINS": DOMAIN,
        "MAILGUN_BASE_URL": base_url,
        "FETCH_INTERVAL_SECONDS": "0.5",
        "FETCH_END_MARGIN_SECONDS": "0.5",
        "FETCH_TRUST_AGE_SECONDS": str(LATE_SECONDS + 1),
        "FETCH_LOOKBACK_SECONDS": "60",
        "FETCH_MISSING_LOOKBACK_SECONDS": "60",
        "FETCH_REQUESTS_PER_SECOND": "0",
        "PROCESSOR_RETRY_SECONDS": "1,2,5",
        "HTTP_HOST": "127.0.0.1",
        "LOG_LEVEL": "INFO",
    }


def run_demo(options: DemoOptions, environ: Mapping[str, str]) -> int:
    """Run it; the exit code: 0 only if every row agrees. Blocks for a minute or so.

    Raises:
        Fatal: something is missing on this machine, or does not start.

    """
    console = Console()
    # The demo is about embedded servers: nothing that the environment says of real ones may reach its services.
    own = {name: value for name, value in environ.items() if not is_ours(name)}
    place = contextlib.nullcontext(options.keep) if options.keep else temporary_folder("mailriver-demo")
    stop = Stop()
    try:
        with place as data:
            data.mkdir(parents=True, exist_ok=True)
            console.print("Starting Kafka and Postgres ...")
            with Stack(data.absolute(), own, console.print) as stack:
                return _Demo(options, console, stack, stop.event).run()
    finally:
        stop.restore()


class _Demo:
    """One run."""

    def __init__(self, options: DemoOptions, console: Console, stack: Stack, stop: Event) -> None:
        self._options, self._console, self._stack, self._stop = options, console, stack, stop
        self._clock = SystemClock()
        taken: set[int] = set()
        for _ in SERVICES:
            taken.add(free_port(taken))
        self._ports = dict(zip(SERVICES, sorted(taken), strict=True))

    def run(self) -> int:
        servers = self._stack.start_servers()
        newsletter = self._plan()
        with MailgunSimulator(Scenario(domains=(DOMAIN,), api_key=API_KEY), clock=self._clock.now) as simulator:
            held_back = self._insert(servers, newsletter)
            simulator.add(DOMAIN, newsletter.events)
            settings = {
                **fast_loops(simulator.base_url),
                "KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap,
                "DATABASE_URL": servers.database_url,
            }
            properties = self._stack.data / "kafka.properties"
            properties.write_text(_QUICK_TAKEOVER)
            settings["KAFKA_PROPERTIES_FILE"] = str(properties)
            self._stack.start_services(settings, self._ports)
            comparison, last = self._watch(servers, newsletter, held_back)
            self._report(comparison, last)
            drift = self._drift(servers)
        self._console.print(
            f"rows compared {comparison.compared}, different {comparison.different}", highlight=False, soft_wrap=True
        )
        return 0 if comparison.agrees and drift == 0 else 1

    def _plan(self) -> Newsletter:
        return newsletters.plan(
            self._options.recipients,
            seed=self._options.seed,
            start=self._clock.now() + _START_IN_SECONDS,
            duration_seconds=self._options.seconds,
            late_seconds=LATE_SECONDS,
            domain=DOMAIN,
        )

    def _insert(self, servers: Servers, newsletter: Newsletter) -> HeldBack:
        """Write the application's rows, but for a few recipients: a sender may commit after the first events."""
        held_back = newsletters.first_to_be_seen(newsletter, self._options.recipients // _ONE_HELD_BACK_OF)
        with psycopg.connect(servers.database_url) as connection:
            newsletters.insert(newsletter, connection, without=frozenset(held_back.numbers))
        self._console.print(
            f"A newsletter to {counted(self._options.recipients)} recipients, "
            f"{counted(len(newsletter.events))} events in {self._options.seconds:g} s"
        )
        return held_back

    def _watch(self, servers: Servers, newsletter: Newsletter, held_back: HeldBack) -> tuple[Comparison, Flow]:
        """Show the flow until every row agrees, or nothing can be hoped for any more."""
        truth = newsletters.expected_tables(newsletter)
        visible = sorted(event.visible_at for event in newsletter.events)
        ends = visible[-1]
        deadline = Deadline(self._clock, ends - self._clock.now() + 60.0 + self._options.recipients / 2_000)
        late = held_back.numbers
        crash_at: int | None = len(newsletter.events) // 4
        meter = FlowMeter(self._ports)
        with FlowDisplay(self._console) as display, psycopg.connect(servers.database_url) as connection:
            comparison, current, look = Comparison(0, 0, [], {}, {}), meter.read(0), 0
            while not (comparison.compared and comparison.agrees and current.resolved >= len(visible)):
                if deadline.passed or self._stop.wait(_LOOK_SECONDS):
                    break
                look += 1
                now = self._clock.now()
                if late and now > held_back.visible_at + _HELD_BACK_SECONDS:
                    newsletters.insert_recipients(newsletter, connection, late)
                    connection.commit()
                    late = ()
                if crash_at is not None and current.fetched >= crash_at:
                    self._crash()
                    crash_at = None
                self._revive()
                current = meter.read(bisect_right(visible, now))
                display.show(current, "sending" if now < ends else "catching up")
                if now > ends and not late and look % _COMPARE_EVERY == 0:
                    comparison = compare(connection, truth)
            comparison = compare(connection, truth)
        return comparison, current

    def _drift(self, servers: Servers) -> int:
        """Every counter against a recount, as `mailriver audit` does it; how many rows are wrong."""
        summary = Summary()
        with Auditor(servers.database_url) as auditor:
            for step in auditor.steps(repair=False):
                summary = summary.after(step)
        self._console.print(f"rows audited {summary.rows}, drift {summary.drifted}", highlight=False)
        return summary.drifted

    def _crash(self) -> None:
        """Kill the fetcher: what it knew to be published is forgotten, so the missing loop publishes events again."""
        self._stack.services["fetcher"].kill()
        self._console.print("The fetcher was killed (kill -9), on purpose: events will come twice", highlight=False)

    def _revive(self) -> None:
        for name in self._stack.revive():
            log = self._stack.services[name].log
            self._console.print(f"{name} is started again; its log: {log}", highlight=False, soft_wrap=True)

    def _report(self, comparison: Comparison, last: Flow) -> None:
        table = Table(title="Postgres against the ground truth", title_justify="left")
        for name in ("rows with", "should be", "are"):
            table.add_column(name, justify="left" if name == "rows with" else "right")
        for column, wanted in comparison.wanted.items():
            table.add_row(column, counted(wanted), counted(comparison.found[column]))
        self._console.print(table)
        self._console.print(
            f"{counted(last.sent)} events sent; {counted(last.resolved)} raw events resolved, so "
            f"{counted(max(0, last.resolved - last.sent))} came twice; {counted(last.stored)} typed events stored "
            "(the others are of types that are not stored)",
            highlight=False,
            soft_wrap=True,
        )
        for example in comparison.examples:
            self._console.print(example, highlight=False, soft_wrap=True)
        if not comparison.agrees:
            for service in self._stack.services.values():
                self._console.print(service.tail(), highlight=False, markup=False, soft_wrap=True)
