"""docs/telemetry.md has every metric and every log event of the code."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Event
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.console import app as console
from services.console.settings import ConsoleSettings
from services.fetcher import app as fetcher
from services.fetcher.settings import FetcherSettings
from services.processor import app as processor
from services.processor.settings import ProcessorSettings
from services.runtime.asgi import AsgiServer
from services.runtime.clock import SystemClock
from services.runtime.codecs import codec_for
from services.runtime.health import Health
from services.runtime.lifecycle import App, Chassis
from services.runtime.metrics import HealthCollector, show_build
from services.runtime.settings import Settings, load
from services.runtime.worker import WORKER
from services.storage import app as storage
from services.storage.settings import StorageSettings
from tests.support.tables import rows_of, text_of
from tests.support.telemetry import (
    ALL,
    BEGIN,
    END,
    LogRow,
    labels_of,
    log_rows,
    metric_rows,
    metric_table,
    name_of,
    registries,
)

DOCUMENT = text_of("docs/telemetry.md")
LABELS = {
    *("service", "version", "worker", "state", "dependency", "reason", "group", "topic", "partition", "event_type"),
    *("outcome", "loop", "domain", "result", "code", "endpoint"),
}
ENVIRON = {
    "MAILGUN_API_KEY": "k",
    "MAILGUN_DOMAINS": "mg.example.com",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
}
Build = Callable[[Any, Any, Chassis], App]
APPS: dict[str, tuple[type[Settings], Build]] = {
    "F": (FetcherSettings, fetcher.build),
    "P": (ProcessorSettings, processor.build),
    "S": (StorageSettings, storage.build),
    "C": (
        ConsoleSettings,
        lambda settings, codec, chassis: console.build(settings, codec, chassis, AsgiServer("127.0.0.1", 0).listen()),
    ),
}


@pytest.fixture
def chassis() -> Chassis:
    """As :func:`services.runtime.lifecycle.run` makes it."""
    clock, registry = SystemClock(), CollectorRegistry()
    health = Health(clock, dependencies=("kafka", "database", "mailgun"), workers=(WORKER, *console.WORKERS))
    show_build(registry, "service")
    registry.register(HealthCollector("service", health, clock))
    return Chassis("service", "test", clock, Random(1).random, registry, health, Event())


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    """If not: run ``.venv/bin/python -m tests.support.telemetry``."""
    assert DOCUMENT.partition(BEGIN)[2].partition(END)[0].strip() == metric_table()


@pytest.mark.parametrize("letter", APPS)
def test_an_app_registers_what_the_document_says(letter: str, chassis: Chassis) -> None:
    """Nothing more and nothing less; it needs no server for it."""
    kind, build = APPS[letter]
    app = build(load(kind, ENVIRON), codec_for(None), chassis)
    try:
        names = {name_of(metric) for metric in chassis.registry.collect()}
    finally:
        chassis.stop.set()
        app.close()
    assert names == {row.name for row in metric_rows() if letter in row.services}


def test_what_is_in_every_service_is_the_chassis() -> None:
    """A service's own metrics carry its name."""
    for row in metric_rows():
        if row.services == ALL:
            assert row.name.startswith(("mailriver_build_", "mailriver_worker_", "mailriver_dependency_"))
        for letter, name in (("F", "fetcher"), ("P", "processor"), ("S", "storage"), ("C", "console")):
            if row.name.startswith(f"mailriver_{name}_"):
                assert row.services == letter


def test_every_metric_has_series_and_only_labels_of_closed_sets() -> None:
    """From the start, and never an address, an id or a URL."""
    for registry in registries().values():
        for metric in registry.collect():
            assert metric.samples, f"{metric.name} has no series before the first event"
            assert set(labels_of(metric)) <= LABELS
            assert metric.documentation


def test_names_are_by_the_rules() -> None:
    """The prefix, counters in _total, no other thing in it; durations in seconds."""
    for row in metric_rows():
        assert row.name.startswith("mailriver_")
        assert row.name.endswith("_total") == (row.kind == "counter")
        assert row.kind != "histogram" or row.name.endswith(("_seconds", "_records"))


def test_every_log_event_has_its_row() -> None:
    """Level, logger and fields too; and no row is of an event that is not in the code."""
    rows = rows_of(DOCUMENT, "event", "level", "logger", "fields", "meaning")
    documented = [LogRow(event.strip("`"), level, logger, names) for event, level, logger, names, _ in rows]
    assert documented == log_rows()
    assert [row for row in rows if len(row[-1]) < 15] == []


def test_metrics_that_the_text_names_exist() -> None:
    """A sentence may name only what there is."""
    text = DOCUMENT.partition(END)[2]
    named = {word.strip("`;.") for word in text.split() if word.startswith("`mailriver_")}
    assert named
    assert named <= {row.name for row in metric_rows()}
