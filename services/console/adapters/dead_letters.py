"""The dead letters in Kafka: pages of them, newest first, and single ones."""

from __future__ import annotations

from collections import deque
from threading import Lock

import msgspec

from services.console.adapters.replay_marks import ReplayMarks
from services.console.core.dead_letters import (
    FIRST_TOPICS,
    DeadLettersPage,
    DeadLetterView,
    Filters,
    Letter,
    Place,
    Stretch,
    WholeDeadLetter,
    merged,
    view,
    whole,
)
from services.console.core.times import iso
from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import RawMailgunEvent
from services.contracts.registry import RegistryUnavailable, UnknownSchema
from services.runtime.bus.api import Bounds, Record
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.lookback import LookBack
from services.runtime.clock import Clock
from services.runtime.errors import Transient

_MOST_LOOKED_AT = 50_000
"""Offsets of a partition that one page looks at, at most: half a second. The next page goes on from there."""
_LARGEST_STEP = 5_000
_BUSY_SECONDS = 10.0


class NoSuchLetter(Exception):
    """There is no dead letter at that place."""


class DeadLettersSnapshot(msgspec.Struct, frozen=True):
    """What the live stream shows of the dead letters."""

    records: dict[str, int]
    """By topic, the offsets in use: so many records at most, since marks of transactions take offsets too."""
    newest: dict[str, str | None]
    """By topic, when its newest record was written, in ISO 8601; None where it has none."""


def ignore(_name: str, _text: str) -> None:
    """What a client tells of the background is told again by the call that fails of it."""


class DeadLettersSource:
    """Reads dead letters. For several threads: they take turns. Its connections stay open until :meth:`close`."""

    def __init__(self, config: KafkaConfig, codec: Codec, prefix: str, *, clock: Clock) -> None:
        """``prefix``: of the topics. Does not block.

        Raises:
            Fatal: for a property that librdkafka refuses.

        """
        self._look = LookBack(config, f"{prefix}console.dlq", clock=clock, on_error=ignore)
        self._marks = ReplayMarks(self._look, codec, prefix)
        self._codec, self._prefix = codec, prefix
        self._turn = Lock()
        self._newest: dict[Place, tuple[Bounds, str | None]] = {}

    def page(self, filters: Filters, before: dict[Place, int] | None, limit: int) -> DeadLettersPage:
        """The newest dead letters, or those before these offsets. Blocks.

        Raises:
            Transient: Kafka is away.

        """
        with self._taking_turns():
            bounds = self._bounds([filters.topic] if filters.topic else list(FIRST_TOPICS))
            stretches = []
            for place, each in bounds.items():
                end = each.end if before is None else min(each.end, before.get(place, each.first))
                stretches.append(self._backwards(place, Bounds(each.first, end), filters, limit))
            page = merged(stretches, limit)
            self._marks.refresh()
            return DeadLettersPage([self._marked(each) for each in page.records], page.next)

    def one(self, topic: str, partition: int, offset: int) -> WholeDeadLetter:
        """A dead letter with all of it; raises as :meth:`record` does. Blocks."""
        letter = letter_of(self.record(topic, partition, offset), self._prefix)
        with self._taking_turns():
            self._marks.refresh()
            return whole(letter, self._decoded(letter.value), self._marks.at((topic, partition), offset))

    def record(self, topic: str, partition: int, offset: int) -> Record:
        """The record itself. ``topic``: without prefix. Blocks.

        Raises:
            NoSuchLetter: there is none at that place.
            Transient: Kafka is away.

        """
        with self._taking_turns():
            bounds = self._bounds([topic]).get((topic, partition)) if topic in FIRST_TOPICS else None
            if bounds is not None and bounds.first <= offset < bounds.end:
                place = (topics.prefixed(self._prefix, topic), partition)
                for record in self._look.read(place, offset, offset + 1):
                    return record
        raise NoSuchLetter(f"there is no dead letter at {topic}/{partition}/{offset}; retention may have removed it")

    def snapshot(self) -> DeadLettersSnapshot:
        """How many there are, and when the newest came. Blocks for a moment: reads only what is new.

        Raises:
            Transient: Kafka is away.

        """
        with self._taking_turns():
            bounds = self._bounds(list(FIRST_TOPICS))
            for place, each in bounds.items():
                if place not in self._newest or self._newest[place][0] != each:
                    found = self._backwards(place, each, Filters(), 1).found
                    self._newest[place] = (each, found[0].timestamp if found else None)
            records = dict.fromkeys(FIRST_TOPICS, 0)
            newest: dict[str, str | None] = dict.fromkeys(FIRST_TOPICS)
            for (topic, _), (each, timestamp) in self._newest.items():
                records[topic] += each.end - each.first
                newest[topic] = max(filter(None, (newest[topic], timestamp)), default=None)
            return DeadLettersSnapshot(records, newest)

    def close(self) -> None:
        """Close the connections. Blocks for a moment."""
        with self._turn:
            self._look.close()

    def _taking_turns(self) -> _Turn:
        return _Turn(self._turn)

    def _bounds(self, names: list[str]) -> dict[Place, Bounds]:
        found = self._look.bounds([topics.prefixed(self._prefix, name) for name in names])
        return {(topic.removeprefix(self._prefix), number): bounds for (topic, number), bounds in found.items()}

    def _backwards(self, place: Place, bounds: Bounds, filters: Filters, limit: int) -> Stretch:
        """Walk back from the end until so many are found, in steps that grow."""
        found: list[DeadLetterView] = []
        at, step = bounds.end, limit + 10
        least = max(bounds.first, bounds.end - _MOST_LOOKED_AT)
        while len(found) < limit and at > least:
            begin = max(least, at - step)
            latest = self._latest(place, Bounds(begin, at), filters, limit - len(found))
            found += reversed(latest)
            at, step = begin, min(2 * step, _LARGEST_STEP)
        if len(found) == limit:
            at = found[-1].offset
        return Stretch(place, found, at, at <= bounds.first)

    def _latest(self, place: Place, bounds: Bounds, filters: Filters, limit: int) -> deque[DeadLetterView]:
        latest: deque[DeadLetterView] = deque(maxlen=limit)
        topic = topics.prefixed(self._prefix, place[0])
        for record in self._look.read((topic, place[1]), bounds.first, bounds.end):
            letter = letter_of(record, self._prefix)
            if filters.take(letter):
                # At once: a view is small, the record may have megabytes.
                latest.append(view(letter, self._decoded(letter.value)))
        return latest

    def _marked(self, each: DeadLetterView) -> DeadLetterView:
        replayed_at = self._marks.at((each.topic, each.partition), each.offset)
        return each if replayed_at is None else msgspec.structs.replace(each, replayed_at=iso(replayed_at))

    def _decoded(self, value: bytes | None) -> bytes | None:
        """The JSON in a record that can be read: Mailgun's of a raw event, else that of its fields."""
        try:
            message = self._codec.decode(value)
        except (NotAvro, UnknownSchema, RegistryUnavailable):
            return None
        return message.payload if isinstance(message, RawMailgunEvent) else msgspec.json.encode(message)


class _Turn:
    """Holds a lock that others may hold for long; gives up after some seconds."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            raise Transient("the dead letters are being read by others; ask again")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def letter_of(record: Record, prefix: str) -> Letter:
    """A record of a dead-letter topic, its topics' names without prefix."""
    first = record.header("original-topic")
    return Letter(
        record.topic.removeprefix(prefix),
        record.partition,
        record.offset,
        record.timestamp_ms,
        record.key,
        record.value,
        record.headers,
        None if first is None else first.decode("utf-8", "replace").removeprefix(prefix),
    )
