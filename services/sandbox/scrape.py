"""Reads the metrics of running services, as Prometheus would."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

PORTS: Mapping[str, int] = {"console": 8080, "fetcher": 8081, "processor": 8082, "storage": 8083}
"""Where `mailriver up` puts the services."""


class Sample(msgspec.Struct, frozen=True):
    """One series at one moment."""

    name: str
    labels: dict[str, str]
    value: float


def scrape(port: int, timeout: float = 2.0) -> list[Sample]:
    """All series of the service behind a port of this machine; empty while it does not answer. Blocks."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=timeout, trust_env=False)
    except httpx.HTTPError:
        return []
    families = text_string_to_metric_families(answer.text)
    return [Sample(each.name, dict(each.labels), each.value) for family in families for each in family.samples]


def is_ready(port: int) -> bool:
    """Whether the service behind a port of this machine says that it is ready. Blocks."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """The sum of the series of that name with these labels."""
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


def most(samples: list[Sample], name: str, **labels: str) -> float | None:
    """The largest of the series of that name with these labels; None if there is none."""
    return max(
        (each.value for each in samples if each.name == name and labels.items() <= each.labels.items()), default=None
    )


class Flow(msgspec.Struct, frozen=True):
    """How many events have come how far, and how far behind each stage is, in seconds; None: it does not say."""

    sent: int
    fetched: int = 0
    resolved: int = 0
    stored: int = 0
    fetcher_lag: float | None = None
    processor_lag: float | None = None
    storage_lag: float | None = None


class FlowMeter:
    """Reads the flow off the services' metrics. Goes on counting where a service has been started again from 0."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        """``ports``: of the services by name."""
        self._ports = ports
        self._before: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def read(self, sent: int) -> Flow:
        """The flow now. ``sent``: events that the source shows by now. Blocks for three scrapes."""
        consumer_lag = "mailriver_consumer_lag_seconds"
        fetched, fetcher_lag = self._stage(
            "fetcher", ("mailriver_fetcher_events_total", {"result": "published"}), "mailriver_fetcher_loop_lag_seconds"
        )
        resolved, processor_lag = self._stage("processor", ("mailriver_consumer_outcomes_total", {}), consumer_lag)
        stored, storage_lag = self._stage("storage", ("mailriver_storage_events_total", {}), consumer_lag)
        return Flow(sent, fetched, resolved, stored, fetcher_lag, processor_lag, storage_lag)

    def _stage(self, name: str, counter: tuple[str, dict[str, str]], lag: str) -> tuple[int, float | None]:
        samples = scrape(self._ports[name])
        before, last = self._before.get(name, 0), self._last.get(name, 0)
        if not samples:
            return before + last, None
        count = int(total(samples, counter[0], **counter[1]))
        if count < last:
            before += last
        self._before[name], self._last[name] = before, count
        return before + count, most(samples, lag, **({"loop": "latest"} if name == "fetcher" else {}))
