"""Items of Mailgun as records of the raw topic; what is too large for it as dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.events import RawMailgunEvent
from services.contracts.reasons import DeadReason, Loop, Stage
from services.fetcher.core.page import Item
from services.runtime.bus.api import Outgoing
from services.runtime.deadletter import DeadLetters, Origin

_RECORD_OVERHEAD_BYTES = 2_048
_DEAD_KEY_BYTES = 1_024


class RawTopic:
    """Makes the records of the items that a loop saw."""

    def __init__(self, codec: Codec, prefix: str) -> None:
        """``prefix``: of the topics."""
        self._codec = codec
        self._topic = topics.prefixed(prefix, topics.RAW)
        self._dead = DeadLetters(
            topics.prefixed(prefix, topics.RAW_DLQ), Stage.FETCHER, most_bytes=topics.RAW_MAX_BYTES
        )

    def records(self, domain: str, loop: Loop, items: Iterable[Item], now: int) -> list[Outgoing]:
        """A record for each item. ``now``: microseconds since 1970, when they were fetched."""
        return [self._record(domain, loop, item, now) for item in items]

    def dead_among(self, records: Sequence[Outgoing]) -> int:
        """How many of these records are dead letters."""
        return sum(record.topic == self._dead.topic for record in records)

    def _record(self, domain: str, loop: Loop, item: Item, now: int) -> Outgoing:
        raw = RawMailgunEvent(item.event_id, domain, loop.value, item.occurred_at, now, item.payload)
        value = self._codec.encode(topics.RAW, raw)
        if len(value) + len(item.key) + _RECORD_OVERHEAD_BYTES <= topics.RAW_MAX_BYTES:
            return Outgoing(self._topic, item.key, value)
        # It never was in its first topic, so it has no place there.
        origin = Origin(self._topic, -1, -1, now // 1000)
        error = f"{len(value)} bytes are too large for the raw topic"
        return self._dead.of(item.key[:_DEAD_KEY_BYTES], value, origin, DeadReason.TOO_LARGE, error)
