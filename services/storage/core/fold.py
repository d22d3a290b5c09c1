"""A batch of events as one change for each recipient, whatever their order and repetition.

Of the events of one recipient each column of ``email_recipients`` takes the earliest. A fold finds these
*winners*; whether a winner is earlier than what is stored, only the database can tell.
"""

from __future__ import annotations

import msgspec

from services.contracts.events import (
    EmailBounced,
    EmailClicked,
    EmailDelivered,
    EmailEvent,
    EmailOpened,
    EmailTemporarilyFailed,
    TypedEvent,
)
from services.storage.core.part import Part
from services.storage.core.text import storable

NOBODY = -1
"""Stands for a winner where no event of the batch sets the column."""

COLUMN_EVENTS: tuple[type[EmailEvent], ...] = (EmailDelivered, EmailOpened, EmailClicked, EmailBounced)
"""The events that set ``first_delivered_at``, ``opened_at``, ``clicked_at`` and ``failed_at``, in this order."""

RECIPIENT_EVENTS: tuple[type[EmailEvent], ...] = (*COLUMN_EVENTS, EmailTemporarilyFailed)
"""The events that mean nothing without the recipient's row."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A typed event and its place in its topic."""

    event: TypedEvent
    partition: int
    offset: int


class Fold(msgspec.Struct, frozen=True):
    """One change for each recipient, in the order in which rows are locked."""

    keys: list[str]
    """Recipient ids in the order of their UTF-8 bytes, each once."""
    winners: tuple[list[int], ...]
    """For each of ``COLUMN_EVENTS`` and each key the winning event's index in the part, or ``NOBODY``."""
    unstorable: frozenset[str]
    """Ids that no row can have, since Postgres cannot hold them. They are not among the keys."""


def fold(part: Part) -> Fold:
    """Fold the events of a part.

    The winner is the least (time cut to milliseconds, event id as bytes). Of events that are the same
    only the first can win.
    """
    first = {kind: _earliest(part, part.of_type[kind]) for kind in COLUMN_EVENTS}
    failing = {part.events[index].recipient_id for index in part.of_type[EmailTemporarilyFailed]}
    keys, unstorable = _keys(failing.union(*first.values()))
    winners = tuple([first[kind].get(key, NOBODY) for key in keys] for kind in COLUMN_EVENTS)
    return Fold(keys, winners, unstorable)


def _earliest(part: Part, indices: list[int]) -> dict[str, int]:
    """The index of each recipient's earliest event; ``Part.earliest`` without its calls, as this is the hot path."""
    events, instants = part.events, part.instants
    first: dict[str, int] = {}
    for index in indices:
        event = events[index]
        rival = first.setdefault(event.recipient_id, index)
        if instants[index] > instants[rival]:
            continue
        if instants[index] < instants[rival] or event.event_id < events[rival].event_id:
            first[event.recipient_id] = index
    return first


def _keys(recipient_ids: set[str]) -> tuple[list[str], frozenset[str]]:
    # Everybody locks rows in this order, which is that of the column's collation "C".
    keys = sorted(recipient_ids)
    if storable("".join(keys)):
        return keys, frozenset()
    return [key for key in keys if storable(key)], frozenset(key for key in keys if not storable(key))
