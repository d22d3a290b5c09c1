"""Reads the metrics of running services, as Prometheus would."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

PORTS: Mapping[str, int] = {"fetcher": 8081, "processor": 8082, "storage": 8083}
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


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """The sum of the series of that name with these labels."""
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


def most(samples: list[Sample], name: str, **labels: str) -> float:
    """The largest of the series of that name with these labels; 0 if there is none."""
    return max(
        (each.value for each in samples if each.name == name and labels.items() <= each.labels.items()), default=0.0
    )


class Flow(msgspec.Struct, frozen=True):
    """How many events have come how far, and how far behind each stage is, in seconds."""

    sent: int
    fetched: int = 0
    resolved: int = 0
    stored: int = 0
    loop_lag: float = 0.0
    processor_lag: float = 0.0
    storage_lag: float = 0.0


def flow(sent: int, ports: Mapping[str, int]) -> Flow:
    """The flow as the services' metrics tell it. ``sent``: events that the source shows by now."""
    fetcher, processor, storage = (scrape(ports[name]) for name in ("fetcher", "processor", "storage"))
    lag = "mailriver_consumer_lag_seconds"
    return Flow(
        sent=sent,
        fetched=int(total(fetcher, "mailriver_fetcher_events_total", result="published")),
        resolved=int(total(processor, "mailriver_consumer_outcomes_total")),
        stored=int(total(storage, "mailriver_storage_events_total")),
        loop_lag=most(fetcher, "mailriver_fetcher_loop_lag_seconds", loop="latest"),
        processor_lag=most(processor, lag),
        storage_lag=most(storage, lag),
    )
