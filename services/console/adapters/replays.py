"""Replays: dead letters written back to where they first were, each with its mark in the same transaction."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Lock

from prometheus_client import CollectorRegistry, Counter

from services.console.adapters.dead_letters import NoSuchLetter, ignore, letter_of
from services.console.adapters.replay_marks import ReplayMarks
from services.console.core.dead_letters import FIRST_TOPICS, Letter
from services.console.core.replays import (
    OffsetChoice,
    ReplayRequest,
    ReplayResult,
    Verdict,
    mark_key,
    reaches,
    replay_headers,
    verdict,
)
from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.events import DeadLetterReplay
from services.contracts.registry import RegistryUnavailable, UnknownSchema
from services.runtime.bus.api import Outgoing
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.lookback import LookBack
from services.runtime.bus.producer import TransactionalProducer
from services.runtime.clock import Clock, Deadline, micros
from services.runtime.errors import Fatal, Transient

_BATCH_LETTERS = 500
_BATCH_BYTES = 4 * 1024 * 1024
_SHOWN_OFFSETS = 5
_SEEN_SECONDS = 2.0

Progress = Callable[[int, int], None]
"""Told after each transaction: how many were replayed and how many skipped so far."""


class ReplayRunning(Exception):
    """Another replay is at work in this process."""


class ReplayStopped(Transient):
    """A replay that broke off; what it had replayed is marked, so the same can be asked for again."""


def counters(registry: CollectorRegistry) -> dict[Verdict, Counter]:
    """The metric of the replays, by what became of a dead letter."""
    counter = Counter(
        "mailriver_deadletter_replayed_total",
        "Dead letters that were chosen for a replay, by what became of them",
        ["result"],
        registry=registry,
    )
    return {each: counter.labels(each.value) for each in Verdict}


class Replays:
    """Replays dead letters, one request at a time. For several threads.

    Two processes cannot replay the same: the transactional id is the same everywhere, so that whoever begins fences
    the one before, and reads the marks only then.
    """

    def __init__(
        self, config: KafkaConfig, codec: Codec, prefix: str, *, clock: Clock, registry: CollectorRegistry
    ) -> None:
        """``prefix``: of the topics. ``registry``: of the metrics."""
        self._config, self._codec, self._prefix, self._clock = config, codec, prefix, clock
        self._running = Lock()
        self._counted = counters(registry)

    def replay(self, request: ReplayRequest, progress: Progress = lambda _replayed, _skipped: None) -> ReplayResult:
        """Replay what was chosen, in transactions of bounded size. Blocks until all is done.

        ``request``: a checked one.

        Raises:
            NoSuchLetter: not all of the offsets hold a dead letter; nothing was replayed.
            ReplayRunning: another one is at work here.
            ReplayStopped: Kafka went away, or another process began a replay. Says how far it got.
            Transient: Kafka is away; nothing was replayed.

        """
        if not self._running.acquire(blocking=False):
            raise ReplayRunning("another replay is at work; wait until it has ended")
        look = LookBack(self._config, f"{self._prefix}dlq-replay", clock=self._clock, on_error=ignore)
        producer = TransactionalProducer(self._config, f"{self._prefix}dlq-replay", clock=self._clock, on_error=ignore)
        try:
            return self._replay(request, look, producer, progress)
        finally:
            producer.close()
            look.close()
            self._running.release()

    def _replay(
        self, request: ReplayRequest, look: LookBack, producer: TransactionalProducer, progress: Progress
    ) -> ReplayResult:
        stretches = self._stretches(request, look)
        if not request.dry_run:
            producer.open()
        marks = ReplayMarks(look, self._codec, self._prefix)
        marks.refresh()
        now = micros(self._clock)
        tally: Tally[Verdict] = Tally()
        last: Letter | None = None
        try:
            for batch in _batches(self._judged(request, look, marks, stretches)):
                letters = [letter for letter, what in batch if what is Verdict.REPLAYED]
                if not request.dry_run:
                    self._write(producer, letters, now)
                    last = letters[-1] if letters else last
                    for _, what in batch:
                        self._counted[what].inc()
                tally.update(what for _, what in batch)
                progress(tally[Verdict.REPLAYED], tally.total() - tally[Verdict.REPLAYED])
        except Transient as error:
            raise ReplayStopped(
                f"stopped after {tally[Verdict.REPLAYED]} were replayed ({error}); they are marked, so ask for the "
                "same again to go on. Only one replay can be at work: a later one stops an earlier one"
            ) from error
        if last is not None:
            self._until_seen(marks, last, now)
        return _result(tally, dry_run=request.dry_run)

    def _stretches(self, request: ReplayRequest, look: LookBack) -> list[tuple[int, int, int]]:
        """Partition, first offset and end of what has to be read."""
        topic = topics.prefixed(self._prefix, request.topic)
        bounds = look.bounds([topic])
        if request.offsets is None:
            return [(number, each.first, each.end) for (_, number), each in sorted(bounds.items())]
        missing = set(request.offsets)
        found = []
        for number, first, end in reaches(request.offsets):
            limits = bounds.get((topic, number))
            if limits is not None and (first := max(first, limits.first)) < (end := min(end, limits.end)):
                found.append((number, first, end))
                missing -= {OffsetChoice(number, each.offset) for each in look.read((topic, number), first, end)}
        if missing:
            named = ", ".join(f"{each.partition}:{each.offset}" for each in sorted(missing)[:_SHOWN_OFFSETS])
            more = f" and {len(missing) - _SHOWN_OFFSETS} more" if len(missing) > _SHOWN_OFFSETS else ""
            raise NoSuchLetter(f"{request.topic} has no record at {named}{more} (partition:offset); nothing replayed")
        return found

    def _judged(
        self, request: ReplayRequest, look: LookBack, marks: ReplayMarks, stretches: list[tuple[int, int, int]]
    ) -> Iterator[tuple[Letter, Verdict]]:
        chosen = None if request.offsets is None else set(request.offsets)
        replayed = 0
        for number, first, end in stretches:
            for record in look.read((topics.prefixed(self._prefix, request.topic), number), first, end):
                letter = letter_of(record, self._prefix)
                is_chosen = chosen is None or OffsetChoice(number, record.offset) in chosen
                if not (is_chosen and request.filters.take(letter)):
                    continue
                is_marked = marks.at((request.topic, number), record.offset) is not None
                what = verdict(letter, is_marked=is_marked, force=request.force)
                yield letter, what
                replayed += what is Verdict.REPLAYED
                if replayed == request.limit:
                    return

    def _until_seen(self, marks: ReplayMarks, last: Letter, now: int) -> None:
        """Wait until readers see the last mark, a moment after its commit: whoever lists next sees it too."""
        deadline = Deadline(self._clock, _SEEN_SECONDS)
        with suppress(Transient):  # All is replayed.
            while marks.at((last.topic, last.partition), last.offset) != now and not deadline.passed:
                marks.refresh()

    def _write(self, producer: TransactionalProducer, letters: list[Letter], now: int) -> None:
        if not letters:
            return
        marks = topics.prefixed(self._prefix, topics.DLQ_REPLAYS)
        records = []
        for each in letters:
            to_topic = FIRST_TOPICS[each.topic]
            first = topics.prefixed(self._prefix, to_topic)
            mark = DeadLetterReplay(
                replayed_at=now, topic=each.topic, partition=each.partition, offset=each.offset, to_topic=to_topic
            )
            records += [
                Outgoing(first, each.key, each.value, replay_headers(each)),
                Outgoing(marks, mark_key(each), self._encoded(mark)),
            ]
        producer.commit(records, {}, None)

    def _encoded(self, mark: DeadLetterReplay) -> bytes:
        try:
            return self._codec.encode(topics.DLQ_REPLAYS, mark)
        except RegistryUnavailable as error:
            raise Transient(str(error)) from error
        except UnknownSchema as error:
            raise Fatal(f"{error}; register the schemas with `mailriver schemas register`") from error


def _batches(judged: Iterator[tuple[Letter, Verdict]]) -> Iterator[list[tuple[Letter, Verdict]]]:
    batch: list[tuple[Letter, Verdict]] = []
    size = 0
    for letter, what in judged:
        batch.append((letter, what))
        size += len(letter.value or b"")
        if len(batch) >= _BATCH_LETTERS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _result(tally: Tally[Verdict], *, dry_run: bool) -> ReplayResult:
    replayed = tally[Verdict.REPLAYED]
    return ReplayResult(
        replayed=replayed,
        skipped=tally.total() - replayed,
        already_replayed=tally[Verdict.ALREADY],
        truncated=tally[Verdict.TRUNCATED],
        strange=tally[Verdict.STRANGE],
        dry_run=dry_run,
    )
