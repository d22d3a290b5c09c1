"""The chassis's metrics: complete from the start, ages computed when they are asked for."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from prometheus_client import CollectorRegistry

from services.contracts.reasons import DeadReason
from services.runtime.bus.api import PartitionLag
from services.runtime.metrics import STATES, LagCollector, WorkerMetrics, show_build
from tests.support.clock import HeldClock

PLACE = {"group": "storage", "topic": "email.events", "partition": "3"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> WorkerMetrics:
    return WorkerMetrics(registry, service="storage", group="storage", topics=("email.events",))


def states(registry: CollectorRegistry) -> dict[str, float | None]:
    name = "mailriver_worker_state"
    return {state: registry.get_sample_value(name, {"service": "storage", "state": state}) for state in STATES}


def test_the_version_is_shown(registry: CollectorRegistry) -> None:
    show_build(registry, "storage")
    labels = {"service": "storage", "version": version("mailriver")}
    assert registry.get_sample_value("mailriver_build_info", labels) == 1.0


@pytest.mark.parametrize("state", STATES)
def test_a_worker_is_in_one_state(registry: CollectorRegistry, metrics: WorkerMetrics, state: str) -> None:
    metrics.state(state)
    assert states(registry) == {name: float(name == state) for name in STATES}


def test_a_worker_begins_with_starting(registry: CollectorRegistry, metrics: WorkerMetrics) -> None:
    assert metrics.records
    assert states(registry)["starting"] == 1.0


def test_every_reason_of_a_dead_letter_is_there_from_the_start(
    registry: CollectorRegistry, metrics: WorkerMetrics
) -> None:
    """An alert on an increase from nothing would miss the first."""
    assert set(metrics.dead) == set(DeadReason)
    for reason in DeadReason:
        labels = {"service": "storage", "reason": reason.value}
        assert registry.get_sample_value("mailriver_deadletter_records_total", labels) == 0.0


def test_a_lag_grows_while_nobody_tells_of_it(registry: CollectorRegistry) -> None:
    """The consumer may be stuck, or dead."""
    clock = HeldClock()
    lag = LagCollector("storage", clock)
    registry.register(lag)
    lag.update([PartitionLag("email.events", 3, 7, int((clock.now() - 5) * 1000))])
    assert registry.get_sample_value("mailriver_consumer_lag_messages", PLACE) == 7.0
    assert registry.get_sample_value("mailriver_consumer_lag_seconds", PLACE) == 5.0
    clock.move(60.0)
    assert registry.get_sample_value("mailriver_consumer_lag_seconds", PLACE) == 65.0


def test_nothing_unprocessed_is_a_lag_of_zero_and_a_record_of_the_future_too(registry: CollectorRegistry) -> None:
    """Another machine's clock may go before ours."""
    clock = HeldClock()
    lag = LagCollector("storage", clock)
    registry.register(lag)
    for oldest in (None, int((clock.now() + 100) * 1000)):
        lag.update([PartitionLag("email.events", 3, 0, oldest)])
        assert registry.get_sample_value("mailriver_consumer_lag_seconds", PLACE) == 0.0


def test_partitions_that_were_taken_away_are_not_told_of(registry: CollectorRegistry) -> None:
    """Their new owner tells."""
    lag = LagCollector("storage", HeldClock())
    registry.register(lag)
    lag.update([PartitionLag("email.events", 3, 7, None)])
    lag.update([])
    assert registry.get_sample_value("mailriver_consumer_lag_messages", PLACE) is None
