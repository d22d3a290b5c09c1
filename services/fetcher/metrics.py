"""The metrics of the fetcher (docs/telemetry.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from services.contracts.reasons import Loop
from services.fetcher.core.loop import LoopState
from services.fetcher.core.window import POLLING
from services.runtime.clock import Clock

RUN_RESULTS = ("complete", "capped", "empty", "failed")
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
            for loop in POLLING
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
            for loop in POLLING
            for result in ("published", "known", "dead")
        }
        pages = Counter(
            "mailriver_fetcher_pages_total", "Pages published with their cursor", ["loop"], registry=registry
        )
        self.pages = {loop: pages.labels(loop) for loop in POLLING}
        requests = Counter(
            "mailriver_fetcher_api_requests_total", "Requests to Mailgun by answer", ["code"], registry=registry
        )
        self.requests = {code: requests.labels(code) for code in CODES}
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

    def update(self, states: list[LoopState]) -> None:
        """The loops that this process holds, as they are now."""
        with self._lock:
            self._states = states

    @override
    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client``."""
        with self._lock:
            states = self._states
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
        yield from (through, lag, holder, target)
