"""What the code tells of itself: its metrics and its log events.

``python -m tests.support.telemetry`` writes the table of metrics in docs/telemetry.md anew.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from services.console.adapters.replays import Replays
from services.console.metrics import ConsoleMetrics
from services.contracts.reasons import Loop
from services.fetcher.core.cursor import Cursor
from services.fetcher.core.loop import LoopState
from services.fetcher.metrics import FetcherMetrics, LoopCollector
from services.processor.metrics import ProcessorMetrics
from services.runtime.bus.api import PartitionLag
from services.runtime.bus.config import KafkaConfig
from services.runtime.clock import SystemClock
from services.runtime.codecs import codec_for
from services.runtime.health import Health
from services.runtime.metrics import HealthCollector, LagCollector, WorkerMetrics, show_build
from services.storage.metrics import StorageMetrics
from tests.support.tables import ROOT

DOCUMENT = ROOT / "docs" / "telemetry.md"
BEGIN, END = "<!-- metrics: made by python -m tests.support.telemetry -->", "<!-- /metrics -->"
ALL = "F, P, S, C"
LEVELS = ("info", "warning", "error", "critical", "exception")


class MetricRow(NamedTuple):
    """A metric as the document has it."""

    name: str
    kind: str
    labels: str
    services: str
    meaning: str


class LogRow(NamedTuple):
    """A log event as the document has it, without its meaning."""

    event: str
    level: str
    logger: str
    fields: str


def _chassis(service: str) -> CollectorRegistry:
    """What every process has."""
    clock, registry = SystemClock(), CollectorRegistry()
    show_build(registry, service)
    registry.register(HealthCollector(service, Health(clock, dependencies=("kafka",), workers=("worker",)), clock))
    return registry


def _consumer(service: str) -> tuple[CollectorRegistry, WorkerMetrics]:
    registry = _chassis(service)
    lag = LagCollector(service, SystemClock())
    lag.update([PartitionLag("topic", 0, 1, 1)])
    registry.register(lag)
    return registry, WorkerMetrics(registry, service=service, group=service, topics=("topic",))


def registries() -> dict[str, CollectorRegistry]:
    """The metrics of each service by its initial, with a series each where the series depend on the moment."""
    fetcher = _chassis("fetcher")
    FetcherMetrics(fetcher, ["mg.example.com"])
    loops = LoopCollector(SystemClock(), {Loop.LATEST: 65.0})
    loops.update([LoopState("mg.example.com", Loop.LATEST, Cursor(0, frozenset()), fetched_through=0)])
    fetcher.register(loops)
    processor, worker = _consumer("processor")
    ProcessorMetrics(processor, "processor", worker.dead)
    storage, worker = _consumer("storage")
    StorageMetrics(storage, worker.dead)
    console = _chassis("console")
    ConsoleMetrics(console)
    Replays(KafkaConfig("127.0.0.1:1"), codec_for(None), "", clock=SystemClock(), registry=console)
    return {"F": fetcher, "P": processor, "S": storage, "C": console}


def name_of(metric: Metric) -> str:
    """As it is written in a query."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def labels_of(metric: Metric) -> list[str]:
    """The labels that its series have, apart from a histogram's edges."""
    names = dict.fromkeys(name for sample in metric.samples for name in sample.labels if name != "le")
    return list(names)


def metric_rows() -> list[MetricRow]:
    """Every metric of every service, by name."""
    services: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for service, registry in registries().items():
        for metric in registry.collect():
            labels = " ".join(labels_of(metric))
            services[name_of(metric), metric.type, labels, metric.documentation].append(service)
    rows = [
        MetricRow(name, kind, labels, ", ".join(users), meaning)
        for (name, kind, labels, meaning), users in services.items()
    ]
    return sorted(rows)


def metric_table() -> str:
    """The generated part of the document."""
    lines = ["| metric | type | labels | services | meaning |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| `{row.name}` | {row.kind} | {row.labels} | {row.services} | {row.meaning} |" for row in metric_rows()]
    return "\n".join(lines)


def log_rows() -> list[LogRow]:
    """Every log event at INFO and above that the services emit, found in their source."""
    return sorted({row for path in sorted((ROOT / "services").rglob("*.py")) for row in _log_rows(path.read_text())})


def _log_rows(source: str) -> Iterator[LogRow]:
    tree = ast.parse(source)
    loggers = {name: text for node in ast.walk(tree) for name, text in _logger(node)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            logger, level = loggers.get(node.func.value.id), node.func.attr
            if logger is not None and level in LEVELS:
                fields = " ".join(keyword.arg or "**" for keyword in node.keywords if keyword.arg != "exc_info")
                yield LogRow(_constant(node), level, logger, fields)


def _logger(node: ast.AST) -> Iterator[tuple[str, str]]:
    """A variable of a module that holds a logger, and the logger's name."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=variable)],
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id="logs"), attr="get"), args=[ast.Constant(value=str(name))]
            ),
        ):
            yield variable, name
        case _:
            pass


def _constant(call: ast.Call) -> str:
    match call.args:
        case [ast.Constant(value=str(event))] if re.fullmatch(r"[a-z_]+", event):
            return event
    raise ValueError(f"line {call.lineno}: the name of a log event is a constant, its details are fields")


def main() -> None:
    """Write the generated part anew."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{metric_table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
