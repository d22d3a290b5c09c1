"""What may become of a raw record in the processor: a closed type, matched in one place."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from services.contracts.events import TypedEvent
from services.contracts.reasons import DeadReason, EventType


class Emit(msgspec.Struct, frozen=True):
    """Goes to ``email.events`` as this typed event."""

    event: TypedEvent


class Skip(msgspec.Struct, frozen=True):
    """A type that is not ours: counted by type, nothing more."""

    event_type: EventType


class Reject(msgspec.Struct, frozen=True):
    """A dead letter."""

    reason: DeadReason
    error: str
    """One line for a person; never holds an address."""


class Retry(msgspec.Struct, frozen=True):
    """Nobody knows the mail or the recipient yet: try again later, and dead-letter it as unresolved at last."""

    error: str


Outcome: TypeAlias = Emit | Skip | Reject | Retry
