"""The events that are applied together, sorted by type: a batch, or what is left of one when poison is looked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from services.contracts.events import TYPED_EVENTS, EmailEvent
from services.storage.core.text import stored_event_id

_MICROS_OF_MILLI = 1000
KeyT = TypeVar("KeyT", bound=Hashable)


class Part(msgspec.Struct, frozen=True):
    """Events by type, with their times."""

    events: Sequence[EmailEvent]
    instants: list[int]
    """The time of each event in microseconds since 1970, cut to milliseconds."""
    of_type: Mapping[type[EmailEvent], list[int]]
    """The indices of the events of each type, ascending."""

    @classmethod
    def of(cls, events: Sequence[EmailEvent]) -> Part:
        """Sort events by their types."""
        of_type: dict[type[EmailEvent], list[int]] = {kind: [] for kind in TYPED_EVENTS}
        for index, event in enumerate(events):
            of_type[type(event)].append(index)
        return cls(events, [event.occurred_at - event.occurred_at % _MICROS_OF_MILLI for event in events], of_type)

    def rank(self, index: int) -> tuple[int, str]:
        """What events are ordered by: (time cut to milliseconds, event id as it is stored).

        Texts compare by code point, which is the order of their UTF-8 bytes and of the collation "C".
        """
        return self.instants[index], stored_event_id(self.events[index].event_id)

    def earliest(self, indices: Iterable[int], key_of: Callable[[EmailEvent], KeyT | None]) -> dict[KeyT, int]:
        """For each key the index of its least event; events without a key are left out.

        Of events that are the same it is the first. The keys are sorted.
        """
        return self._best(indices, key_of, lambda index, rival: self.rank(index) < self.rank(rival))

    def latest(self, indices: Iterable[int], key_of: Callable[[EmailEvent], KeyT | None]) -> dict[KeyT, int]:
        """The same with the greatest event."""
        return self._best(indices, key_of, lambda index, rival: self.rank(index) > self.rank(rival))

    def _best(
        self,
        indices: Iterable[int],
        key_of: Callable[[EmailEvent], KeyT | None],
        is_better: Callable[[int, int], bool],
    ) -> dict[KeyT, int]:
        best: dict[KeyT, int] = {}
        for index in indices:
            key = key_of(self.events[index])
            if key is None:
                continue
            rival = best.setdefault(key, index)
            if rival != index and is_better(index, rival):
                best[key] = index
        return {key: best[key] for key in sorted(best)}  # type: ignore[type-var]  # keys are texts or tuples of texts
