"""Dead letters: the record's bytes unchanged, with headers that say where it came from and why it died."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection
from importlib.metadata import version
from itertools import repeat

import msgspec

from services.contracts.reasons import DeadReason, Stage
from services.runtime.bus.api import Headers, Outgoing, Record

VERSION = version("mailriver")
KEPT_BYTES = 64 * 1024
"""How much of a record is kept that is too large for its topic."""
_ERROR_CHARACTERS = 500


class Origin(msgspec.Struct, frozen=True):
    """Where a record was first: its topic, and -1 for what it never had there."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @classmethod
    def of(cls, record: Record) -> Origin:
        """Of a record: what its headers say of its first topic (after a retry or a replay), else where it was read."""
        topic = record.header("original-topic")
        if topic is None:
            return cls(record.topic, record.partition, record.offset, record.timestamp_ms)
        return cls(
            topic.decode("utf-8", "replace"),
            *(_integer(record.header(f"original-{name}")) for name in ("partition", "offset", "timestamp")),
        )

    def headers(self) -> Headers:
        """The origin as headers."""
        return (
            ("original-topic", self.topic.encode()),
            ("original-partition", b"%d" % self.partition),
            ("original-offset", b"%d" % self.offset),
            ("original-timestamp", b"%d" % self.timestamp_ms),
        )


def _integer(text: bytes | None) -> int:
    try:
        return int(text or b"-1")
    except ValueError:
        return -1


class DeadLetters:
    """Makes the dead letters of one service."""

    def __init__(self, topic: str, stage: Stage, *, most_bytes: int) -> None:
        """``topic``: with its prefix. ``most_bytes``: a larger value is kept as its first 64 KiB."""
        self.topic, self._stage, self._most_bytes = topic, stage, most_bytes

    def letter(self, record: Record, reason: DeadReason, error: str) -> Outgoing:
        """The dead letter of a record."""
        return self.of(record.key, record.value, Origin.of(record), reason, error)

    def of(self, key: bytes | None, value: bytes | None, origin: Origin, reason: DeadReason, error: str) -> Outgoing:
        """The dead letter of a value that may never have been a record."""
        line = " ".join(error.split())[:_ERROR_CHARACTERS]
        headers: Headers = (
            ("reason", reason.value.encode()),
            ("error", line.encode("utf-8", "replace")),
            ("stage", self._stage.value.encode()),
            *origin.headers(),
            ("version", VERSION.encode()),
        )
        if value is not None and len(value) > self._most_bytes:
            headers += (("size", b"%d" % len(value)), ("sha256", hashlib.sha256(value).hexdigest().encode()))
            value = value[:KEPT_BYTES]
        return Outgoing(self.topic, key, value, headers)


class StormGuard:
    """Tells when too many records die, so that a fault of ours does not drain a topic.

    Looks at the last ``window`` records, record by record; ``unresolved`` is no fault of ours and counts as fine.
    """

    def __init__(self, *, ratio: float, window: int) -> None:
        """``ratio``: of the window; above it is a storm. A window that is not full yet is no storm."""
        self._most = ratio * window
        self._last: deque[bool] = deque(maxlen=window)

    def is_storm(self, records: int, dead_at: Collection[int]) -> bool:
        """Whether the window is a storm at any record of a batch. ``dead_at``: where its dead letters stand."""
        if not dead_at:
            return False
        last = self._last.copy()
        dead_now, dead = frozenset(dead_at), sum(last)
        for at in range(records):
            is_dead = at in dead_now
            dead += is_dead - (last[0] if len(last) == last.maxlen else 0)
            last.append(is_dead)
            if len(last) == last.maxlen and dead > self._most:
                return True
        return False

    def passed(self, records: int, dead_at: Collection[int]) -> None:
        """A batch was committed."""
        if dead_at:
            dead = frozenset(dead_at)
            self._last.extend(at in dead for at in range(records))
        else:
            self._last.extend(repeat(False, records))  # noqa: FBT003 - the thing that is repeated
