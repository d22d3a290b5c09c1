"""A batch of events as one change for each recipient, whatever their order and repetition.

Of the events of one recipient each column of ``email_recipients`` takes the earliest. A fold finds these
*winners*; whether a winner is earlier than what is stored, only the database can tell.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from services.storage.core.text import storable

NOBODY = -1
"""Stands for a winner where no event of the batch sets the column."""

COLUMN_EVENTS: tuple[type[EmailEvent], ...] = (EmailDelivered, EmailOpened, EmailClicked, EmailBounced)
"""The events that set ``first_delivered_at``, ``opened_at``, ``clicked_at`` and ``failed_at``, in this order."""

RECIPIENT_EVENTS: frozenset[type[EmailEvent]] = frozenset((*COLUMN_EVENTS, EmailTemporarilyFailed))
"""The events that mean nothing without the recipient's row."""

_MICROS_OF_MILLI = 1000


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
    """For each of ``COLUMN_EVENTS`` and each key the winning event's index in ``instants``, or ``NOBODY``."""
    instants: list[int]
    """The time of each event in microseconds since 1970, cut to milliseconds."""
    unstorable: frozenset[str]
    """Ids that no row can have, since Postgres cannot hold them. They are not among the keys."""


def fold(events: Sequence[EmailEvent]) -> Fold:
    """Fold a batch.

    The winner is the least (time cut to milliseconds, event id as bytes). Of events that are the same
    only the first can win.
    """
    instants = [event.occurred_at - event.occurred_at % _MICROS_OF_MILLI for event in events]
    first = _earliest(events, instants)
    keys, unstorable = _keys(first)
    winners = tuple([first[kind].get(key, NOBODY) for key in keys] for kind in COLUMN_EVENTS)
    return Fold(keys, winners, instants, unstorable)


def _earliest(events: Sequence[EmailEvent], instants: list[int]) -> dict[type[EmailEvent], dict[str, int]]:
    """The index of the earliest event of each type and recipient."""
    first: dict[type[EmailEvent], dict[str, int]] = {kind: {} for kind in RECIPIENT_EVENTS}
    for index, event in enumerate(events):
        of_type = first.get(type(event))
        if of_type is None:
            continue
        rival = of_type.setdefault(event.recipient_id, index)
        if instants[index] > instants[rival]:
            continue
        # Texts compare by code point, which is the order of their UTF-8 bytes.
        if instants[index] < instants[rival] or event.event_id < events[rival].event_id:
            of_type[event.recipient_id] = index
    return first


def _keys(first: dict[type[EmailEvent], dict[str, int]]) -> tuple[list[str], frozenset[str]]:
    # Everybody locks rows in this order, which is that of the column's collation "C".
    keys = sorted(set().union(*first.values()))
    if storable("".join(keys)):
        return keys, frozenset()
    return [key for key in keys if storable(key)], frozenset(key for key in keys if not storable(key))
