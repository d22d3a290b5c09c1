"""The metrics of storage (docs/telemetry.md)."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.contracts.events import TYPED_EVENTS
from services.contracts.reasons import DeadReason, Loop, StorageResult
from services.storage.core.audit import Summary
from services.storage.core.outcomes import Total


class StorageMetrics:
    """What storage counts; the same totals are kept in the database, where they survive a kill."""

    def __init__(self, registry: CollectorRegistry, dead: Mapping[DeadReason, Counter]) -> None:
        """``dead``: the chassis's counters of dead letters."""
        self.dead = dead
        self._events = Counter(
            "mailriver_storage_events_total",
            "Events by what they did: changed a stored value, nothing, or ignored (their row is gone)",
            ["event_type", "loop", "result"],
            registry=registry,
        )
        for kind in TYPED_EVENTS:
            for loop in Loop:
                for result in StorageResult:
                    self._events.labels(kind.event_type, loop.value, result.value)
        self.transaction_seconds = Histogram(
            "mailriver_storage_transaction_seconds",
            "A batch in the database, from its begin to its commit",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30),
            registry=registry,
        )
        self._audited_at = Gauge(
            "mailriver_storage_audit_timestamp_seconds",
            "When the last `mailriver audit` ended; 0 before the first",
            registry=registry,
        )
        self._audit_rows = Gauge(
            "mailriver_storage_audit_rows",
            "Rows of the last audit: audited, drifted (a counter was not its recount) and repaired",
            ["result"],
            registry=registry,
        )
        self.audited(0.0, Summary())

    def audited(self, ended_at: float, summary: Summary) -> None:
        """Show the last audit. ``ended_at``: seconds since 1970-01-01 UTC."""
        self._audited_at.set(ended_at)
        counts = {"audited": summary.rows, "drifted": summary.drifted, "repaired": summary.repaired}
        for result, rows in counts.items():
            self._audit_rows.labels(result).set(rows)

    def count(self, totals: Mapping[Total, int]) -> None:
        """Count what a committed batch added."""
        for total, events in totals.items():
            self._events.labels(total.event_type, total.loop, total.verdict.result.value).inc(events)
