"""What the storage service needs of a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from services.storage.core.fold import Received
from services.storage.core.outcomes import Total, Verdict


class Poisoned(msgspec.Struct, frozen=True):
    """An event that the database refuses."""

    index: int
    """Its place in the batch."""
    error: str
    """One line for a person."""


class Applied(msgspec.Struct, frozen=True):
    """What one batch did."""

    verdicts: list[Verdict | None]
    """Of each event in the order of the batch; None for a poisoned one."""
    totals: dict[Total, int]
    """What was added to the stored totals: records that an earlier batch counted are not in it."""
    poisoned: list[Poisoned]
    """To be dead-lettered; all other events are applied."""


class EventStore(Protocol):
    """Where the state of the recipients is kept."""

    def apply(self, batch: Sequence[Received]) -> Applied:
        """Apply a batch in one transaction; blocks until it is committed.

        The state after it depends on the set of events ever applied, not on their order or repetition, so
        the same batch may be applied again. Raises ``Transient`` if the database is away or busy (it may be
        unknown whether the batch was applied: apply it again), ``Fatal`` if only a person can mend it.
        """

    def close(self) -> None:
        """Give the connection back. May be called twice."""
