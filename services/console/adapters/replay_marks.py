"""Which dead letters were replayed, and when: the compacted topic ``mailriver.dlq.replays``, followed as it grows."""

from __future__ import annotations

from services.console.core.dead_letters import Place
from services.console.core.replays import marked_place
from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import DeadLetterReplay
from services.contracts.registry import RegistryUnavailable, UnknownSchema
from services.runtime.bus.api import Partition, Record
from services.runtime.bus.lookback import LookBack
from services.runtime.errors import Transient


class ReplayMarks:
    """Remembers the marks it has read; some 100 bytes each. For one thread at a time."""

    def __init__(self, look: LookBack, codec: Codec, prefix: str) -> None:
        self._look, self._codec = look, codec
        self._topic = topics.prefixed(prefix, topics.DLQ_REPLAYS)
        self._read_to: dict[Partition, int] = {}
        self._marks: dict[Place, dict[int, int]] = {}

    def refresh(self) -> None:
        """Read the marks that were committed since the last time. Blocks.

        Raises:
            Transient: Kafka or the schema registry is away.

        """
        for place, bounds in self._look.bounds([self._topic]).items():
            known = self._read_to.get(place, 0)
            if bounds.end < known:  # The topic was made anew.
                self._marks.clear()
                known = 0
            for record in self._look.read(place, max(known, bounds.first), bounds.end):
                self._take(record)
            self._read_to[place] = bounds.end

    def at(self, place: Place, offset: int) -> int | None:
        """When a dead letter was replayed, in microseconds since 1970; None if it was not."""
        return self._marks.get(place, {}).get(offset)

    def _take(self, record: Record) -> None:
        named = marked_place(record.key or b"")
        if named is None:
            return
        place, offset = named
        if record.value is None:
            self._marks.get(place, {}).pop(offset, None)
            return
        self._marks.setdefault(place, {})[offset] = self._replayed_at(record.value, record.timestamp_ms * 1000)

    def _replayed_at(self, value: bytes, otherwise: int) -> int:
        """A mark that this version cannot read is a mark all the same."""
        try:
            message = self._codec.decode(value)
        except (NotAvro, UnknownSchema):
            return otherwise
        except RegistryUnavailable as error:
            raise Transient(str(error)) from error
        return message.replayed_at if isinstance(message, DeadLetterReplay) else otherwise
