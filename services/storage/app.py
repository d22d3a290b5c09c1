"""Storage as a process: typed events into Postgres, a batch a transaction, the offsets after it."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import EmailEvent
from services.contracts.reasons import DeadReason, Stage
from services.contracts.registry import UnknownSchema
from services.runtime import logs, postgres
from services.runtime.assembly import Assembly
from services.runtime.bus.api import Outgoing, Partition, Record
from services.runtime.clock import Clock
from services.runtime.deadletter import DeadLetters
from services.runtime.errors import Transient
from services.runtime.health import Health
from services.runtime.lifecycle import Chassis
from services.runtime.worker import WORKER, Handled, Limits, Worker
from services.storage.adapters.audit import last_audit
from services.storage.adapters.migrations import expected_version, schema_version
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.fold import Received
from services.storage.metrics import StorageMetrics
from services.storage.ports import Applied, EventStore
from services.storage.settings import StorageSettings

DEPENDENCIES = ("kafka", "database")
AUDIT_SECONDS = 60.0
"""How often the last audit's result is looked up."""
_log = logs.get("storage")


class StorageHandler:
    """Decodes a batch, applies it, and makes dead letters of what cannot be read or is refused."""

    def __init__(
        self, store: EventStore, codec: Codec, dead: DeadLetters, metrics: StorageMetrics, health: Health, clock: Clock
    ) -> None:
        self._store, self._codec, self._dead = store, codec, dead
        self._metrics, self._health, self._clock = metrics, health, clock

    def handle(self, records: Sequence[Record]) -> Handled:
        """Apply a batch. Blocks for the database.

        Raises:
            Transient: the database or the schema registry is away.

        """
        batch: list[Received] = []
        sources: list[Record] = []
        places: list[int] = []
        letters: list[tuple[DeadReason, Outgoing]] = []
        dead_at: list[int] = []
        for place, record in enumerate(records):
            received = self._received(record)
            if isinstance(received, Received):
                batch.append(received)
                sources.append(record)
                places.append(place)
            else:
                dead_at.append(place)
                letters.append((received[0], self._dead.letter(record, *received)))
        applied = self._apply(batch)
        for poisoned in applied.poisoned:
            letter = self._dead.letter(sources[poisoned.index], DeadReason.DATABASE, poisoned.error)
            letters.append((DeadReason.DATABASE, letter))
            dead_at.append(places[poisoned.index])
        return Handled([letter for _, letter in letters], dead_at, lambda: self._count_dead(letters))

    def due_ms(self, record: Record) -> int | None:  # noqa: ARG002 - nothing waits here
        """Everything is due at once."""
        return None

    def close(self) -> None:
        """Close the connection."""
        self._store.close()

    def _received(self, record: Record) -> Received | tuple[DeadReason, str]:
        try:
            message = self._codec.decode(record.value)
        except NotAvro as error:
            return DeadReason.NOT_AVRO, str(error)
        except UnknownSchema as error:
            return DeadReason.UNKNOWN_SCHEMA, str(error)
        if isinstance(message, EmailEvent):
            return Received(message, record.partition, record.offset)
        return DeadReason.UNKNOWN_SCHEMA, f"a {type(message).__name__} does not belong into this topic"

    def _apply(self, batch: Sequence[Received]) -> Applied:
        if not batch:
            return Applied([], {}, [])
        began = self._clock.monotonic()
        try:
            with self._health.asks(WORKER, "database"):
                applied = self._store.apply(batch)
        except Transient as error:
            self._health.fails("database", str(error))
            raise
        self._health.works("database")
        self._metrics.transaction_seconds.observe(self._clock.monotonic() - began)
        # At once: the database has counted it, and counts it only once, whatever becomes of the offsets.
        self._metrics.count(applied.totals)
        return applied

    def _count_dead(self, letters: list[tuple[DeadReason, Outgoing]]) -> None:
        for reason, _ in letters:
            self._metrics.dead[reason].inc()


class StorageApp:
    """Waits for a migrated database, then steps its worker."""

    def __init__(self, worker: Worker, dsn: str, chassis: Chassis, metrics: StorageMetrics) -> None:
        self._worker, self._dsn, self._chassis, self._metrics = worker, dsn, chassis, metrics
        self._is_migrated = False
        self._audit_at = -AUDIT_SECONDS

    def step(self) -> None:
        """See :class:`services.runtime.lifecycle.App`."""
        if self._is_migrated or self._look():
            self._worker.step()
            self._show_audit()

    def done_through(self) -> dict[Partition, int]:
        """For each assigned partition the offset below which everything is applied, as far as is known."""
        return self._worker.done_through()

    def _show_audit(self) -> None:
        """Look now and then what the last audit found: a command cannot be scraped."""
        now = self._chassis.clock.monotonic()
        if now - self._audit_at < AUDIT_SECONDS or not self._chassis.health.is_up("database"):
            return
        self._audit_at = now
        try:
            with self._chassis.health.asks(WORKER, "database"):
                found = last_audit(self._dsn)
        except psycopg.Error as error:
            # Storage works without; whether the database does is told by its batches.
            _log.warning("audit_not_known", error=postgres.one_line(error))
            return
        if found is not None:
            self._metrics.audited(*found)

    def _look(self) -> bool:
        self._chassis.health.stepped(WORKER)
        try:
            with (
                self._chassis.health.asks(WORKER, "database"),
                postgres.connect(self._dsn, "mailriver-storage", options="-c statement_timeout=10s") as connection,
            ):
                version = schema_version(connection)
        except psycopg.Error as error:
            return self._wait(f"the database cannot be used: {postgres.one_line(error)}; is DATABASE_URL right?")
        if version < expected_version():
            return self._wait(f"schema {version} is older than {expected_version()}; run `mailriver migrate`")
        self._is_migrated = True
        self._chassis.health.works("database")
        return True

    def _wait(self, error: str) -> bool:
        _log.warning("waiting_for_database", error=error)
        self._chassis.health.fails("database", error)
        self._chassis.stop.wait(1.0)
        return False

    def close(self) -> None:
        """See :class:`services.runtime.lifecycle.App`."""
        self._worker.close()


def build(settings: StorageSettings, codec: Codec, chassis: Chassis, group: str = "storage") -> StorageApp:
    """Storage, ready to be stepped. ``group``: its consumer group, without the prefix."""
    prefix = settings.topic_prefix
    topic = topics.prefixed(prefix, topics.EMAIL_EVENTS)
    dsn = settings.database_url.get_secret_value()
    assembly = Assembly(settings, chassis, group=group, topics=(topic,))
    metrics = StorageMetrics(chassis.registry, assembly.metrics.dead)
    handler = StorageHandler(
        PostgresStore(dsn, topic),
        codec,
        DeadLetters(
            topics.prefixed(prefix, topics.EMAIL_EVENTS_DLQ), Stage.STORAGE, most_bytes=topics.EMAIL_EVENTS_MAX_BYTES
        ),
        metrics,
        chassis.health,
        chassis.clock,
    )
    worker = assembly.worker(handler, Limits(settings.storage_batch_events))
    return StorageApp(worker, dsn, chassis, metrics)
