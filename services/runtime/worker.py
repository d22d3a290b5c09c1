"""The loop of a consumer: poll a batch, handle it, write what comes of it with the offsets. One bounded step at a time.

Nothing is in flight between two steps, so a rebalance or a stop has nothing to wait for. While something
outside is away the batch is kept, its partitions are paused and the group is served, so that waiting is neither
a rebalance nor a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from services.contracts.registry import RegistryUnavailable
from services.runtime import logs
from services.runtime.backoff import Backoff
from services.runtime.bus.api import Outgoing, Partition, Record
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.clock import Clock
from services.runtime.deadletter import StormGuard
from services.runtime.errors import SessionLost, Transient
from services.runtime.health import Health
from services.runtime.metrics import LagCollector, WorkerMetrics
from services.runtime.session import Session

WORKER = "consumer"
IDLE_SECONDS = 0.5
STORM_PAUSE_SECONDS = 60.0
_LAG_SECONDS = 1.0
_PROOF_SECONDS = 10.0
_log = logs.get("worker")


class Handled(msgspec.Struct):
    """What came of a batch."""

    outgoing: list[Outgoing]
    dead_at: Collection[int] = ()
    """Which records of the batch became dead letters, those apart that are no fault of ours (unresolved)."""
    after: Callable[[], None] | None = None
    """Called once the batch is committed: to count it."""


class Handler(Protocol):
    """What a service does with its records."""

    def handle(self, records: Sequence[Record]) -> Handled:
        """Handle a batch; may block for a database.

        Raises:
            Transient: something is away; the same batch comes again.

        """

    def due_ms(self, record: Record) -> int | None:
        """When a record may be handled, in milliseconds since 1970; None for at once."""

    def close(self) -> None:
        """Let go of what is held."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds of a batch."""

    records: int
    bytes: int = 32 * 1024 * 1024
    linger_seconds: float = 0.05


class Instruments(msgspec.Struct, frozen=True):
    """Where a worker leaves what it knows of itself."""

    health: Health
    metrics: WorkerMetrics
    lag: LagCollector


class Worker:
    """Drives one handler over one session."""

    def __init__(
        self,
        handler: Handler,
        session: Session,
        limits: Limits,
        guard: StormGuard,
        instruments: Instruments,
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """``random``: uniform in [0, 1), for the jitter of pauses."""
        self._handler, self._session, self._limits, self._guard = handler, session, limits, guard
        self._health, self._metrics, self._lag = instruments.health, instruments.metrics, instruments.lag
        self._clock = clock
        self._backoff = Backoff(first=0.5, most=30.0, random=random)
        self._consumer: GroupConsumer | None = None
        self._pending: list[Record] = []
        self._held_until: float | None = None
        self._parked: dict[Partition, int] = {}
        self._new: set[Partition] | None = None
        self._joined = False
        self._next: dict[Partition, int] = {}
        self._last_ms: dict[Partition, int] = {}
        self._last_client_error = ""
        self._lag_at = self._proved_at = 0.0

    def step(self) -> None:
        """Do one batch, or wait for one: half a second at most when idle. Raises only what no waiting mends."""
        self._health.stepped(WORKER)
        try:
            consumer = self._consumer or self._open()
            if self._is_held(consumer):
                return
            self._gather(consumer)
            if self._pending:
                self._do(consumer)
            self._measure(consumer)
        except SessionLost as error:
            self._log_trouble(error)
            self._close_session()
            self._held_until = self._clock.monotonic() + self._backoff.failed()
        except RegistryUnavailable as error:
            self._log_trouble(Transient(f"schema registry: {error}"))
            self._hold(self._backoff.failed())
        except Transient as error:
            self._log_trouble(error)
            self._hold(self._backoff.failed(error.retry_after))

    def done_through(self) -> dict[Partition, int]:
        """For each assigned partition the offset below which every record is committed, as far as is known."""
        return {} if self._consumer is None else self._consumer.done_through(self._next)

    def close(self) -> None:
        """Leave the group. What was not committed comes again."""
        self._metrics.state("draining")
        self._close_session()
        self._handler.close()

    def _open(self) -> GroupConsumer:
        self._consumer = self._session.open(
            on_error=self._client_error, on_assigned=self._assigned, on_revoked=self._revoked
        )
        return self._consumer

    def _close_session(self) -> None:
        self._consumer = None
        self._joined = False
        self._forget(list(self._next))
        self._pending.clear()
        self._parked.clear()
        self._session.close()

    def _client_error(self, name: str, text: str) -> None:
        self._health.fails("kafka", f"{name}: {text}")
        if name != self._last_client_error:
            self._last_client_error = name
            advice = "; create the topics with `mailriver topics create`" if name == "UNKNOWN_TOPIC_OR_PART" else ""
            _log.warning("kafka_trouble", error=f"{name}: {text}{advice}")

    def _assigned(self, places: list[Partition]) -> None:
        self._metrics.rebalances.inc()
        self._new = (self._new or set()) | set(places)

    def _revoked(self, places: list[Partition]) -> None:
        gone = set(places)
        self._new = None if self._new is None else self._new - gone
        self._pending = [record for record in self._pending if record.place not in gone]
        self._forget(places)

    def _forget(self, places: list[Partition]) -> None:
        for place in places:
            self._parked.pop(place, None)
            self._next.pop(place, None)
            self._last_ms.pop(place, None)

    def _is_held(self, consumer: GroupConsumer) -> bool:
        """While waiting out a failure, serve the group; True if the wait is not over."""
        if self._held_until is None:
            return False
        left = self._held_until - self._clock.monotonic()
        if left > 0:
            # In two statements: the poll may revoke, and so replace the pending records that it is added to.
            polled = consumer.poll(1, min(left, IDLE_SECONDS), most_bytes=1, linger=0.0)
            self._pending += polled
            consumer.pause(consumer.assigned)
            self._measure(consumer)
            return self._held_until - self._clock.monotonic() > 0
        self._held_until = None
        consumer.resume(consumer.assigned - self._parked.keys())
        return False

    def _hold(self, seconds: float, state: str = "backing_off") -> None:
        self._metrics.state(state)
        self._held_until = self._clock.monotonic() + seconds
        if self._consumer is not None:
            self._consumer.pause(self._consumer.assigned)

    def _gather(self, consumer: GroupConsumer) -> None:
        """Fill the pending batch; what is not due yet is put aside, from records kept over a failure too."""
        if not self._pending:
            self._poll(consumer)
        self._learn_committed(consumer)
        if self._pending:
            self._park(consumer, int(self._clock.now() * 1000))

    def _poll(self, consumer: GroupConsumer) -> None:
        now_ms = int(self._clock.now() * 1000)
        due = [place for place, due_ms in self._parked.items() if due_ms <= now_ms]
        consumer.resume(due)
        for place in due:
            del self._parked[place]
        wait = min([IDLE_SECONDS, *(max(0.01, (due_ms - now_ms) / 1000) for due_ms in self._parked.values())])
        self._pending = consumer.poll(
            self._limits.records, wait, most_bytes=self._limits.bytes, linger=self._limits.linger_seconds
        )

    def _park(self, consumer: GroupConsumer, now_ms: int) -> None:
        """Put the partitions aside whose next record is not due yet."""
        first: dict[Partition, tuple[int, int]] = {}
        for record in self._pending:
            if record.place in first:
                continue
            due_ms = self._handler.due_ms(record)
            if due_ms is not None and due_ms > now_ms:
                first[record.place] = record.offset, due_ms
        if not first:
            return
        for place, (offset, due_ms) in first.items():
            try:
                consumer.rewind(place, offset)
            except Transient as error:
                raise SessionLost(str(error)) from error
            consumer.pause([place])
            self._parked[place] = due_ms
        self._pending = [
            record for record in self._pending if record.place not in first or record.offset < first[record.place][0]
        ]

    def _do(self, consumer: GroupConsumer) -> None:
        batch, began = self._pending, self._clock.monotonic()
        handled = self._handler.handle(batch)
        if self._guard.is_storm(len(batch), handled.dead_at):
            _log.error(
                "dead_letter_storm", records=len(batch), dead=len(handled.dead_at), again_seconds=STORM_PAUSE_SECONDS
            )
            self._metrics.stopped.set(1)
            self._hold(STORM_PAUSE_SECONDS, "paused")
            return
        offsets = {record.place: record.offset + 1 for record in batch}
        try:
            self._session.finish(consumer, handled.outgoing, offsets)
        except Transient:
            self._metrics.failed.inc()
            raise
        self._pending = []
        self._committed(batch, handled, offsets, began)

    def _committed(self, batch: list[Record], handled: Handled, offsets: dict[Partition, int], began: float) -> None:
        self._backoff.succeeded()
        self._health.works("kafka")
        self._last_client_error = ""
        self._proved_at = self._clock.monotonic()
        self._guard.passed(len(batch), handled.dead_at)
        self._next.update(offsets)
        self._last_ms.update({record.place: record.timestamp_ms for record in batch})
        self._metrics.stopped.set(0)
        self._metrics.state("running")
        self._metrics.committed.inc()
        self._metrics.batch_records.observe(len(batch))
        self._metrics.batch_seconds.observe(self._clock.monotonic() - began)
        counts: dict[str, int] = {}
        for record in batch:
            counts[record.topic] = counts.get(record.topic, 0) + 1
        for topic, count in counts.items():
            self._metrics.records[topic].inc(count)
        if handled.after is not None:
            handled.after()

    def _learn_committed(self, consumer: GroupConsumer) -> None:
        """Where newly assigned partitions stand, for their lag. An empty assignment is one too: the group is joined."""
        if self._new is None:
            return
        self._next.update(consumer.committed(self._new) if self._new else {})
        self._new = None
        self._joined = True
        self._health.started(WORKER)
        self._metrics.state("running")
        _log.info("partitions_assigned", partitions=len(consumer.assigned))

    def _measure(self, consumer: GroupConsumer) -> None:
        now = self._clock.monotonic()
        if now - self._lag_at < _LAG_SECONDS:
            return
        self._lag_at = now
        if self._joined and now - self._proved_at > _PROOF_SECONDS:
            # Nothing was committed lately: ask, so that silence can be told from an outage, and since partitions
            # that are paused learn nothing of their ends from fetches.
            self._proved_at = now
            is_paused = self._held_until is not None
            consumer.ask_watermarks(consumer.assigned if is_paused else self._parked or list(consumer.assigned)[:1])
            self._health.works("kafka")
            self._health.rests("kafka", not consumer.assigned)
        oldest = dict(self._last_ms)
        for record in reversed(self._pending):
            oldest[record.place] = record.timestamp_ms
        self._lag.update(consumer.lag(self._next, oldest))

    def _log_trouble(self, error: Transient) -> None:
        if str(error).startswith("Kafka"):
            self._health.fails("kafka", str(error))
        _log.warning("backing_off", error=str(error), failures=self._backoff.failures + 1)
