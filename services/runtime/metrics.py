"""The metrics of the chassis: the same names in every service (docs/telemetry.md lists all).

Ages are never computed by the loop that they judge: they are computed at each scrape, so that a
stuck process shows a growing age.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from services.contracts.reasons import DeadReason
from services.runtime.bus.api import PartitionLag
from services.runtime.clock import Clock
from services.runtime.deadletter import VERSION
from services.runtime.health import Health

STATES = ("starting", "running", "paused", "backing_off", "draining")


def show_build(registry: CollectorRegistry, service: str) -> None:
    """Which version this process runs."""
    build = Gauge("mailriver_build_info", "1, labelled with the version", ["service", "version"], registry=registry)
    build.labels(service, VERSION).set(1)


class WorkerMetrics:
    """What every worker counts about the records it reads."""

    def __init__(self, registry: CollectorRegistry, *, service: str, group: str, topics: tuple[str, ...]) -> None:
        """``topics``: those that are read, with their prefix."""
        records = Counter(
            "mailriver_consumer_records_total",
            "Records that were read and whose offset is committed",
            ["group", "topic"],
            registry=registry,
        )
        self.records = {topic: records.labels(group, topic) for topic in topics}
        dead = Counter(
            "mailriver_deadletter_records_total", "Dead letters written", ["service", "reason"], registry=registry
        )
        self.dead = {reason: dead.labels(service, reason.value) for reason in DeadReason}
        self.stopped = Gauge(
            "mailriver_deadletter_stopped",
            "1 while the consumer stands still because too many records die",
            ["service"],
            registry=registry,
        ).labels(service)
        commits = Counter(
            "mailriver_consumer_commits_total",
            "Batches that ended committed (ok) or were given up and tried again (failed)",
            ["group", "result"],
            registry=registry,
        )
        self.committed, self.failed = commits.labels(group, "ok"), commits.labels(group, "failed")
        self.rebalances = Counter(
            "mailriver_consumer_rebalances_total", "Assignments of partitions", ["group"], registry=registry
        ).labels(group)
        self.batch_records = Histogram(
            "mailriver_consumer_batch_records",
            "Records in a batch",
            ["group"],
            buckets=(1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000),
            registry=registry,
        ).labels(group)
        self.batch_seconds = Histogram(
            "mailriver_consumer_batch_seconds",
            "From the first look at a batch to its commit",
            ["group"],
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        ).labels(group)
        state = Gauge(
            "mailriver_worker_state", "1 for the state that the worker is in", ["service", "state"], registry=registry
        )
        self._states = {name: state.labels(service, name) for name in STATES}
        self.state("starting")

    def state(self, current: str) -> None:
        """The worker is now in this state."""
        for name, gauge in self._states.items():
            gauge.set(name == current)


class HealthCollector(Collector):
    """Ages of the workers' steps and states of the dependencies, as they are at the scrape."""

    def __init__(self, service: str, health: Health, clock: Clock) -> None:
        self._service, self._health, self._clock = service, health, clock

    @override
    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client``."""
        step = GaugeMetricFamily(
            "mailriver_worker_last_step_timestamp_seconds",
            "When the worker last did a step of its loop",
            labels=["service", "worker"],
        )
        for worker in self._health.workers:
            step.add_metric([self._service, worker], self._clock.now() - self._health.step_age(worker))
        yield step
        up = GaugeMetricFamily(
            "mailriver_dependency_up",
            "1 if the last real use of the dependency went well",
            labels=["service", "dependency"],
        )
        for dependency in self._health.dependencies:
            up.add_metric([self._service, dependency], float(self._health.is_up(dependency)))
        yield up


class LagCollector(Collector):
    """How far behind a consumer is; its worker leaves the facts here, the ages are computed at the scrape."""

    def __init__(self, group: str, clock: Clock) -> None:
        self._group, self._clock = group, clock
        self._lock = Lock()
        self._lags: list[PartitionLag] = []

    def update(self, lags: list[PartitionLag]) -> None:
        """The newest facts, of every assigned partition."""
        with self._lock:
            self._lags = lags

    @override
    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client``."""
        with self._lock:
            lags = self._lags
        labels = ["group", "topic", "partition"]
        messages = GaugeMetricFamily(
            "mailriver_consumer_lag_messages", "High watermark minus the next offset to commit", labels=labels
        )
        seconds = GaugeMetricFamily(
            "mailriver_consumer_lag_seconds", "Age of the oldest record that is not processed, 0 if none", labels=labels
        )
        for lag in lags:
            place = [self._group, lag.topic, str(lag.partition)]
            age = 0.0 if lag.oldest_ms is None else max(0.0, self._clock.now() - lag.oldest_ms / 1000)
            messages.add_metric(place, lag.messages)
            seconds.add_metric(place, age)
        yield messages
        yield seconds
