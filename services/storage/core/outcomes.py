"""What became of each event of a batch, and the totals of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any

import msgspec

from services.contracts.events import EmailEvent
from services.contracts.reasons import IgnoredReason, Loop, StorageResult
from services.storage.core.fold import RECIPIENT_EVENTS, Received


class Verdict(msgspec.Struct, frozen=True):
    """What one event did."""

    result: StorageResult
    reason: IgnoredReason | None = None


class Total(msgspec.Struct, frozen=True):
    """What is counted together."""

    event_type: str
    loop: str
    verdict: Verdict


NOTHING = Verdict(StorageResult.NOTHING)
CHANGED = Verdict(StorageResult.CHANGED)
RECIPIENT_GONE = Verdict(StorageResult.IGNORED, IgnoredReason.RECIPIENT_GONE)

UNKNOWN_LOOP = "unknown"
"""Stands for a loop that is none of ours: what others write must not become labels without end."""
_LOOPS = {loop.value: loop.value for loop in Loop}

_VERDICTS = (NOTHING, CHANGED, RECIPIENT_GONE)
_CHANGED, _GONE = _VERDICTS.index(CHANGED), _VERDICTS.index(RECIPIENT_GONE)


class Value(Enum):
    """What is stored of an event."""

    DELIVERED = auto()
    OPENED = auto()
    CLICKED = auto()
    FAILED = auto()
    FAILURE = auto()
    """The row of ``email_recipient_failures``."""
    LAST_SEEN = auto()
    COMPLAINT = auto()
    SUPPRESSION = auto()
    SUPPRESSED_MEMBER = auto()
    UNSUBSCRIPTION = auto()


class Outcomes:
    """Gathers what the database says of the parts of one batch, in the order in which they are applied.

    A batch is one part, unless a poisoned event had to be found. Then an event of a later part may take
    the place of one of an earlier part, which so has changed nothing after all.
    """

    def __init__(self, events: Sequence[EmailEvent]) -> None:
        self._events = events
        self._origins: dict[Value, dict[Hashable, int]] = {value: {} for value in Value}
        self._gone: set[str] = set()

    def add(self, part: Sequence[int], changed: Mapping[Value, Mapping[Any, int]], gone: Iterable[str]) -> None:
        """Take the answer for one part.

        ``part`` holds the part's indices into the batch; ``changed`` for each kind of value and each key whose
        value changed the index, in the part, of the event that it now comes from; ``gone`` the recipients
        without a row.
        """
        for value, origins in changed.items():
            self._origins[value].update((key, part[index]) for key, index in origins.items())
        self._gone.update(gone)

    def verdicts(self) -> list[Verdict]:
        """The verdict of each event of the batch."""
        codes = bytearray(len(self._events))
        for origins in self._origins.values():
            for index in origins.values():
                codes[index] = _CHANGED
        if self._gone:
            for index, event in enumerate(self._events):
                if event.recipient_id in self._gone and type(event) in RECIPIENT_EVENTS:
                    codes[index] = _GONE
        return [_VERDICTS[code] for code in codes]


def totals(batch: Sequence[Received], verdicts: Sequence[Verdict], skipped: frozenset[int]) -> dict[Total, int]:
    """How many events of the batch had which outcome, without those at the ``skipped`` indices."""
    # Identities hash faster than verdicts, and there are only three of them.
    counts = Counter(
        (received.event.event_type, _LOOPS.get(received.event.loop, UNKNOWN_LOOP), id(verdict))
        for index, (received, verdict) in enumerate(zip(batch, verdicts, strict=True))
        if index not in skipped
    )
    by_id = {id(verdict): verdict for verdict in _VERDICTS}
    return {Total(event_type, loop, by_id[key]): count for (event_type, loop, key), count in counts.items()}


def next_offsets(batch: Sequence[Received]) -> dict[int, int]:
    """For each partition, in ascending order, the offset after its last record in the batch."""
    offsets: dict[int, int] = {}
    for received in batch:
        if received.offset >= offsets.get(received.partition, 0):
            offsets[received.partition] = received.offset + 1
    return dict(sorted(offsets.items()))


def counted_before(batch: Sequence[Received], stored: Mapping[int, int]) -> frozenset[int]:
    """The indices of the records below their partition's stored next offset: an earlier batch counted them."""
    if all(received.offset >= stored[received.partition] for received in batch):
        return frozenset()
    return frozenset(index for index, each in enumerate(batch) if each.offset < stored[each.partition])
