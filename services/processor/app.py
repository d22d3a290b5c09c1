"""The processor as a process: raw events in; typed events, retries and dead letters out, exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import RawMailgunEvent
from services.contracts.outcome import Emit, Outcome, Reject, Retry, Skip
from services.contracts.reasons import DeadReason, EventType, Stage
from services.contracts.registry import UnknownSchema
from services.processor.adapters.directory import PostgresDirectory
from services.processor.metrics import ProcessorMetrics
from services.processor.pipeline import Processed, process
from services.processor.ports import RecipientDirectory
from services.processor.retries import Retries
from services.processor.settings import ProcessorSettings
from services.runtime.assembly import Assembly
from services.runtime.bus.api import Outgoing, Record
from services.runtime.clock import Clock
from services.runtime.deadletter import DeadLetters
from services.runtime.errors import Transient
from services.runtime.health import Health
from services.runtime.lifecycle import Chassis
from services.runtime.worker import WORKER, Handled, Limits, Worker

DEPENDENCIES = ("kafka", "database")
BATCH_RECORDS = 4_000


class _Tally(msgspec.Struct):
    """What a batch led to."""

    emitted: Counter[str] = msgspec.field(default_factory=Counter)
    skipped: Counter[EventType] = msgspec.field(default_factory=Counter)
    rejected: Counter[DeadReason] = msgspec.field(default_factory=Counter)
    retries: int = 0


class ProcessorHandler:
    """Decodes a batch, has its outcomes decided, and turns each into the record that it leads to."""

    def __init__(
        self,
        directory: RecipientDirectory,
        codec: Codec,
        dead: DeadLetters,
        retries: Retries,
        topic: str,
        *,
        metrics: ProcessorMetrics,
        health: Health,
        clock: Clock,
    ) -> None:
        """``topic``: of the typed events, with its prefix."""
        self._directory, self._codec, self._dead, self._retries, self._topic = directory, codec, dead, retries, topic
        self._metrics, self._health, self._clock = metrics, health, clock

    def handle(self, records: Sequence[Record]) -> Handled:
        """Decide a batch. Blocks for one round trip to the database.

        Raises:
            Transient: the database or the schema registry is away.

        """
        decoded = [self._decoded(record) for record in records]
        began = self._clock.monotonic()
        processed = self._process([each for each in decoded if not isinstance(each, Reject)])
        decided = iter(processed.outcomes)
        outcomes = [each if isinstance(each, Reject) else next(decided) for each in decoded]
        seconds = self._clock.monotonic() - began
        now_ms = int(self._clock.now() * 1000)
        tally = _Tally()
        outgoing: list[Outgoing] = []
        dead_at: list[int] = []
        for position, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
            out = self._outgoing(record, outcome, now_ms, tally)
            if out is not None:
                outgoing.append(out)
            if isinstance(outcome, Reject) and outcome.reason is not DeadReason.UNRESOLVED:
                dead_at.append(position)
        return Handled(outgoing, dead_at, lambda: self._count(tally, processed, seconds))

    def due_ms(self, record: Record) -> int | None:
        """When a record of a retry topic is due."""
        return self._retries.due_ms(record)

    def close(self) -> None:
        """Close the connection."""
        self._directory.close()

    def _decoded(self, record: Record) -> RawMailgunEvent | Reject:
        try:
            message = self._codec.decode(record.value)
        except NotAvro as error:
            return Reject(DeadReason.NOT_AVRO, str(error))
        except UnknownSchema as error:
            return Reject(DeadReason.UNKNOWN_SCHEMA, str(error))
        if isinstance(message, RawMailgunEvent):
            return message
        return Reject(DeadReason.UNKNOWN_SCHEMA, f"a {type(message).__name__} does not belong into this topic")

    def _process(self, raws: Sequence[RawMailgunEvent]) -> Processed:
        try:
            with self._health.asks(WORKER, "database"):
                processed = process(raws, self._directory)
        except Transient as error:
            self._health.fails("database", str(error))
            raise
        self._health.works("database")
        return processed

    def _outgoing(self, record: Record, outcome: Outcome, now_ms: int, tally: _Tally) -> Outgoing | None:
        match outcome:
            case Emit(event):
                tally.emitted[event.event_type] += 1
                value = self._codec.encode(topics.EMAIL_EVENTS, event)
                return Outgoing(self._topic, event.recipient_id.encode("utf-8", "replace"), value)
            case Skip(event_type):
                tally.skipped[event_type] += 1
                return None
            case Reject(reason, error):
                tally.rejected[reason] += 1
                return self._dead.letter(record, reason, error)
            case Retry() if len(record.value or b"") > topics.RAW_MAX_BYTES:
                # Written by somebody else, and too large for a retry topic: it would stop the partition.
                tally.rejected[DeadReason.TOO_LARGE] += 1
                return self._dead.letter(record, DeadReason.TOO_LARGE, "unresolved, and too large to be tried again")
            case Retry(error):
                again = self._retries.again(record, now_ms)
                if again is not None:
                    tally.retries += 1
                    return again
                tally.rejected[DeadReason.UNRESOLVED] += 1
                return self._dead.letter(record, DeadReason.UNRESOLVED, error)

    def _count(self, tally: _Tally, processed: Processed, seconds: float) -> None:
        found = processed.found
        self._metrics.count(tally.emitted, tally.skipped, tally.rejected, tally.retries)
        self._metrics.cache_hits.inc(found.cached)
        self._metrics.cache_misses.inc(found.asked)
        self._metrics.resolve_seconds.observe(seconds)


def build(settings: ProcessorSettings, codec: Codec, chassis: Chassis) -> Worker:
    """The processor, ready to be stepped."""
    prefix = settings.topic_prefix
    retries = Retries(prefix, settings.processor_retry_seconds)
    read = (topics.prefixed(prefix, topics.RAW), *retries.topics)
    assembly = Assembly(settings, chassis, group="processor", topics=read)
    handler = ProcessorHandler(
        PostgresDirectory(settings.database_url.get_secret_value()),
        codec,
        DeadLetters(topics.prefixed(prefix, topics.RAW_DLQ), Stage.PROCESSOR, most_bytes=topics.RAW_MAX_BYTES),
        retries,
        topics.prefixed(prefix, topics.EMAIL_EVENTS),
        metrics=ProcessorMetrics(chassis.registry, assembly.group, assembly.metrics.dead),
        health=chassis.health,
        clock=chassis.clock,
    )
    return assembly.worker(handler, Limits(BATCH_RECORDS))
