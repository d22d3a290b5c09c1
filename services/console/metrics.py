"""The metrics of the console (docs/telemetry.md)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CLASSES = ("2xx", "3xx", "4xx", "5xx")
REFUSALS = ("token", "host", "origin", "login", "streams")
OTHER = "other"


class ConsoleMetrics:
    """What the console counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "mailriver_console_requests_total",
            "Answers by route and class of status; streams when they end",
            ["endpoint", "code"],
            registry=registry,
        )
        self.expect([OTHER])
        self.seconds = Histogram(
            "mailriver_console_request_seconds",
            "From a request to the end of its answer, streams apart",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10),
            registry=registry,
        )
        refused = Counter(
            "mailriver_console_refused_total",
            "Requests refused for their token, Host, Origin, or for too many logins or streams",
            ["reason"],
            registry=registry,
        )
        self.refused = {reason: refused.labels(reason) for reason in REFUSALS}
        self.streams = Gauge("mailriver_console_streams", "Streams that are open", registry=registry)
        self.dropped = Counter(
            "mailriver_console_dropped_streams_total",
            "Streams ended because their reader was too slow",
            registry=registry,
        )
        commands = Counter(
            "mailriver_console_commands_total",
            "Commands to the fetcher: written to Kafka (ok) or given up (failed)",
            ["result"],
            registry=registry,
        )
        self.commands = {result: commands.labels(result) for result in ("ok", "failed")}

    def expect(self, endpoints: Iterable[str]) -> None:
        """The paths of the routes: their series exist from the start."""
        for endpoint in endpoints:
            for code in CLASSES:
                self._requests.labels(endpoint, code)

    def answered(self, endpoint: str, status: int) -> None:
        """A request has its answer."""
        self._requests.labels(endpoint, f"{status // 100}xx").inc()
