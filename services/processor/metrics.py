"""The metrics of the processor (docs/telemetry.md)."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.contracts.events import TYPED_EVENTS
from services.contracts.reasons import DeadReason, EventType

OURS = frozenset(kind.event_type for kind in TYPED_EVENTS)


class ProcessorMetrics:
    """What the processor counts: one final outcome a record, and the retries on the way."""

    def __init__(self, registry: CollectorRegistry, group: str, dead: Mapping[DeadReason, Counter]) -> None:
        """``dead``: the chassis's counters of dead letters."""
        self._dead = dead
        outcomes = Counter(
            "mailriver_consumer_outcomes_total",
            "Final outcomes of records: emit (by typed event), skip (by Mailgun's type) or reject (by reason)",
            ["group", "event_type", "outcome", "reason"],
            registry=registry,
        )
        self._emitted = {name: outcomes.labels(group, name, "emit", "") for name in OURS}
        self._skipped = {name: outcomes.labels(group, name, "skip", "") for name in EventType}
        self._rejected = {reason: outcomes.labels(group, "", "reject", reason.value) for reason in DeadReason}
        self._retries = Counter(
            "mailriver_consumer_retries_total", "Records put off to a retry topic", ["group"], registry=registry
        ).labels(group)
        resolutions = Counter(
            "mailriver_processor_resolutions_total",
            "Events by whether their recipient was found",
            ["result"],
            registry=registry,
        )
        self._resolved, self._unresolved = resolutions.labels("found"), resolutions.labels("missing")
        cache = Counter(
            "mailriver_processor_cache_total", "Look-ups of recipients in the cache", ["result"], registry=registry
        )
        self.cache_hits, self.cache_misses = cache.labels("hit"), cache.labels("miss")
        self.resolve_seconds = Histogram(
            "mailriver_processor_resolve_seconds",
            "The round trip for the recipients of a batch",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )

    def count(self, emitted: Tally[str], skipped: Tally[EventType], rejected: Tally[DeadReason], retries: int) -> None:
        """Count what a committed batch led to."""
        for name, number in emitted.items():
            self._emitted[name].inc(number)
        for event_type, number in skipped.items():
            self._skipped[event_type].inc(number)
        for reason, number in rejected.items():
            self._rejected[reason].inc(number)
            self._dead[reason].inc(number)
        self._retries.inc(retries)
        self._resolved.inc(emitted.total())
        self._unresolved.inc(retries + rejected[DeadReason.UNRESOLVED])
