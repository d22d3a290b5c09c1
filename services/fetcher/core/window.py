"""Up to where a loop may read, and where it starts the first time.

All instants are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from services.contracts.reasons import EventType, Loop

LATEST: Final = (Loop.LATEST, Loop.LATEST_OPENED)
POLLING: Final = (*LATEST, Loop.MISSING)
"""The loops that each domain has."""
EVENT_TYPES: Final[Mapping[Loop, tuple[EventType, ...]]] = {
    Loop.LATEST: (EventType.DELIVERED, EventType.FAILED, EventType.UNSUBSCRIBED, EventType.COMPLAINED),
    Loop.LATEST_OPENED: (EventType.OPENED, EventType.CLICKED),
    Loop.MISSING: (),
    Loop.SCHEDULED: (),
}
"""What each loop asks for; nothing means all types."""


class Margins(msgspec.Struct, frozen=True):
    """How near to now the loops read, and how far back they start. Microseconds."""

    end_margin: int
    trust_age: int
    lookback: int
    missing_lookback: int


def first_begin(loop: Loop, now: int, margins: Margins) -> int:
    """Where a loop begins that has never run."""
    return now - (margins.missing_lookback if loop is Loop.MISSING else margins.lookback)


def window_end(loop: Loop, now: int, margins: Margins, latest_through: tuple[int | None, ...]) -> int | None:
    """The end of the run that starts now; None if there is none yet.

    ``missing`` reads what Mailgun's storage has settled on, and never overtakes the two latest loops:
    ``latest_through`` is what each of them has fetched through, None before its first run.
    """
    if loop is not Loop.MISSING:
        return now - margins.end_margin
    reached = [through for through in latest_through if through is not None]
    if len(reached) < len(latest_through):
        return None
    return min([now - margins.trust_age, *reached])


def target_lag(loop: Loop, margins: Margins, interval: int) -> int:
    """The lag that a loop has by design: its margin and an interval; what is above it is being behind."""
    return (margins.trust_age if loop is Loop.MISSING else margins.end_margin) + interval
