"""The metrics of the fetcher (docs/telemetry.md)."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from services.contracts.progress import remaining_seconds
from services.contracts.reasons import Loop
from services.fetcher.core.loop import LoopState
from services.fetcher.core.schedule import RUNNING, Schedule, stored
from services.runtime.clock import Clock, micros

RUN_RESULTS = ("complete", "capped", "empty", "failed")
COMMAND_RESULTS = ("queued", "canceled", "refused", "ignored", "unreadable")
SCHEDULE_STATES = ("queued", "running", "failed")
CODES = ("ok", "throttled", "unavailable", "unreadable", "refused")


class FetcherMetrics:
    """What the fetcher counts."""

    def __init__(self, registry: CollectorRegistry, domains: Sequence[str]) -> None:
        """``domains``: those configured, so that every series exists from the start."""
        runs = Counter(
            "mailriver_fetcher_loop_runs_total",
            "Runs by how they ended",
            ["loop", "domain", "result"],
            registry=registry,
        )
        self.runs = {
            (domain, loop, result): runs.labels(loop, domain, result)
            for domain in domains
            for loop in Loop
            for result in RUN_RESULTS
        }
        events = Counter(
            "mailriver_fetcher_events_total",
            "Events of served pages: published, known (published before) or dead (too large)",
            ["loop", "domain", "result"],
            registry=registry,
        )
        self.events = {
            (domain, loop, result): events.labels(loop, domain, result)
            for domain in domains
            for loop in Loop
            for result in ("published", "known", "dead")
        }
        pages = Counter(
            "mailriver_fetcher_pages_total", "Pages published with their cursor", ["loop"], registry=registry
        )
        self.pages = {loop: pages.labels(loop) for loop in Loop}
        requests = Counter(
            "mailriver_fetcher_api_requests_total", "Requests to Mailgun by answer", ["code"], registry=registry
        )
        self.requests = {code: requests.labels(code) for code in CODES}
        clipped = Counter(
            "mailriver_fetcher_clipped_total",
            "Runs whose begin is older than MAILGUN_RETENTION_HOURS: what lies before it is lost",
            ["loop", "domain"],
            registry=registry,
        )
        self.clipped = {(domain, loop): clipped.labels(loop, domain) for domain in domains for loop in Loop}
        commands = Counter(
            "mailriver_fetcher_commands_total", "Commands by what became of them", ["result"], registry=registry
        )
        self.commands = {result: commands.labels(result) for result in COMMAND_RESULTS}
        self.throttled_seconds = Counter(
            "mailriver_fetcher_throttled_seconds_total",
            "Seconds that all loops were told, or chose, to wait",
            registry=registry,
        )
        self.replaced = Counter(
            "mailriver_fetcher_replaced_bodies_total", "Pages with bytes that are no UTF-8, replaced", registry=registry
        )
        self.publish_seconds = Histogram(
            "mailriver_fetcher_publish_seconds",
            "A transaction of pages and cursors",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15),
            registry=registry,
        )


class LoopCollector(Collector):
    """The loops' lag as it is at the scrape: a stuck fetcher shows a growing one."""

    def __init__(self, clock: Clock, targets: dict[Loop, float]) -> None:
        """``targets``: the lag in seconds that each loop has by design."""
        self._clock, self._targets = clock, targets
        self._lock = Lock()
        self._states: list[LoopState] = []
        self._schedules: list[Schedule] = []

    def update(self, states: list[LoopState], schedules: list[Schedule]) -> None:
        """The loops that this process holds and its schedules that have not ended, as they are now."""
        with self._lock:
            self._states, self._schedules = states, schedules

    @override
    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client``."""
        with self._lock:
            states, schedules = self._states, self._schedules
        labels = ["loop", "domain"]
        through = GaugeMetricFamily(
            "mailriver_fetcher_loop_fetched_through_timestamp_seconds",
            "Event time up to which all is published",
            labels=labels,
        )
        lag = GaugeMetricFamily("mailriver_fetcher_loop_lag_seconds", "Now minus fetched_through", labels=labels)
        holder = GaugeMetricFamily(
            "mailriver_fetcher_loop_holder", "1 in the process that runs the loop", labels=labels
        )
        for state in states:
            names = [state.loop.value, state.domain]
            holder.add_metric(names, 1)
            # Before its first complete run a loop is behind by all that it has to read.
            reached = (state.cursor.begin if state.fetched_through is None else state.fetched_through) / 1e6
            through.add_metric(names, reached)
            lag.add_metric(names, max(0.0, self._clock.now() - reached))
        target = GaugeMetricFamily(
            "mailriver_fetcher_loop_target_lag_seconds", "The lag that the loop has by design", labels=["loop"]
        )
        for loop, seconds in self._targets.items():
            target.add_metric([loop.value], seconds)
        yield from (through, lag, holder, target, *self._of_schedules(states, schedules))

    def _of_schedules(self, states: list[LoopState], schedules: list[Schedule]) -> Iterator[Metric]:
        counts = GaugeMetricFamily(
            "mailriver_fetcher_schedules", "Scheduled fetches that have not ended", labels=["domain", "state"]
        )
        remaining = GaugeMetricFamily(
            "mailriver_fetcher_remaining_seconds",
            "Until the scheduled fetch that runs is done, if it goes on as it has",
            labels=["domain"],
        )
        found = Counts((each.domain, each.status) for each in schedules)
        for domain in sorted({state.domain for state in states}):
            for name in SCHEDULE_STATES:
                counts.add_metric([domain, name], found[domain, name])
        now = micros(self._clock)
        for each in schedules:
            seconds = remaining_seconds(stored(each, now), now) if each.status == RUNNING else None
            if seconds is not None:
                remaining.add_metric([each.domain], seconds)
        yield from (counts, remaining)
