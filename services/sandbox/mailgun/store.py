"""The events of one domain in memory, in Mailgun's order, each with the instant from which it is visible.

Every event type has a shelf of its own, so that rare types are found without looking at the
others; a query merges the shelves that it wants. A shelf is cut into buckets of one second: a new
event moves only its bucket, and a bucket that is still invisible as a whole is passed over.

Not locked: the simulator holds one lock around every call, and iterators are used up inside it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter

import msgspec

from services.sandbox.mailgun.events import SimulatedEvent, milliseconds

Key = tuple[float, str]
"""The order of events: by full time, then id."""


class Entry(msgspec.Struct, gc=False):
    """A stored event."""

    key: Key
    event_type: str
    visible_at: float
    payload: bytes
    served: int = 0
    """How many pages have shown it."""


_key: Callable[[Entry], Key] = attrgetter("key")


class _Bucket:
    """The events of one second, sorted."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.first_visible_at = float("inf")

    def add(self, entries: list[Entry]) -> None:
        if len(entries) == 1:
            insort(self.entries, entries[0], key=_key)
        else:
            self.entries.extend(entries)
            self.entries.sort(key=_key)
        self.first_visible_at = min(self.first_visible_at, *(entry.visible_at for entry in entries))


class _Shelf:
    """The events of one type."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self._seconds: list[int] = []

    def add(self, entries: Iterable[Entry]) -> None:
        by_second: dict[int, list[Entry]] = {}
        for entry in entries:
            by_second.setdefault(int(entry.key[0]), []).append(entry)
        new = by_second.keys() - self._buckets.keys()
        if new:
            self._seconds = sorted([*self._seconds, *new])
        for second, together in by_second.items():
            self._buckets.setdefault(second, _Bucket()).add(together)

    def upwards(self, low: Key, now: float) -> Iterator[Entry]:
        """The visible entries from ``low`` on, the key itself included."""
        for at_second in range(bisect_left(self._seconds, int(low[0])), len(self._seconds)):
            second = self._seconds[at_second]
            bucket = self._buckets[second]
            if bucket.first_visible_at > now:
                continue
            entries = bucket.entries
            start = bisect_left(entries, low, key=_key) if second == int(low[0]) else 0
            for at in range(start, len(entries)):
                if entries[at].visible_at <= now:
                    yield entries[at]

    def downwards(self, high: Key, now: float) -> Iterator[Entry]:
        """The visible entries from ``high`` downwards, the key itself included."""
        for at_second in range(bisect_right(self._seconds, int(high[0])) - 1, -1, -1):
            second = self._seconds[at_second]
            bucket = self._buckets[second]
            if bucket.first_visible_at > now:
                continue
            entries = bucket.entries
            end = bisect_right(entries, high, key=_key) if second == int(high[0]) else len(entries)
            for at in range(end - 1, -1, -1):
                if entries[at].visible_at <= now:
                    yield entries[at]

    def key_of(self, instant_ms: int, event_id: str) -> Key | None:
        """The key of the event of this id in this millisecond, visible or not; None if it is not here."""
        bucket = self._buckets.get(instant_ms // 1000)
        if bucket is None:
            return None
        entries = bucket.entries
        for at in range(bisect_left(entries, (instant_ms / 1000, ""), key=_key), len(entries)):
            if milliseconds(entries[at].key[0]) != instant_ms:
                return None
            if entries[at].key[1] == event_id:
                return entries[at].key
        return None

    def __iter__(self) -> Iterator[Entry]:
        for second in self._seconds:
            yield from self._buckets[second].entries


class EventStore:
    """All events of one domain."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def event_types(self) -> Collection[str]:
        """The types that there are events of."""
        return self._shelves.keys()

    def add(self, events: Iterable[SimulatedEvent]) -> int:
        """Put events in, in whatever order; how many there were."""
        by_type: dict[str, list[Entry]] = {}
        added = 0
        for event in events:
            entry = Entry((event.timestamp, event.id), event.event_type, event.visible_at, event.payload_bytes())
            by_type.setdefault(event.event_type, []).append(entry)
            added += 1
        for event_type, entries in by_type.items():
            self._shelves.setdefault(event_type, _Shelf()).add(entries)
        self._count += added
        return added

    def upwards(self, event_types: Collection[str], low: Key, now: float) -> Iterator[Entry]:
        """The visible events of these types from ``low`` on, oldest first."""
        return self._merged([shelf.upwards(low, now) for shelf in self._chosen(event_types)])

    def downwards(self, event_types: Collection[str], high: Key, now: float) -> Iterator[Entry]:
        """The visible events of these types from ``high`` downwards, newest first."""
        return self._merged([shelf.downwards(high, now) for shelf in self._chosen(event_types)], newest_first=True)

    def key_of(self, instant_ms: int, event_id: str) -> Key | None:
        """Where the event of this id in this millisecond stands; None if there is none."""
        found = (shelf.key_of(instant_ms, event_id) for shelf in self._shelves.values())
        return next((key for key in found if key is not None), None)

    def __iter__(self) -> Iterator[Entry]:
        """All events, oldest first, visible or not."""
        return self._merged([iter(shelf) for shelf in self._shelves.values()])

    def _chosen(self, event_types: Collection[str]) -> list[_Shelf]:
        return [self._shelves[name] for name in event_types if name in self._shelves]

    @staticmethod
    def _merged(sources: list[Iterator[Entry]], *, newest_first: bool = False) -> Iterator[Entry]:
        if len(sources) == 1:
            return sources[0]
        return heapq.merge(*sources, key=_key, reverse=newest_first)
