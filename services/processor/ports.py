"""What the processor needs of the sending application's database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from services.processor.core.resolve import Lookup, Resolution


class Found(msgspec.Struct, frozen=True):
    """The answers to the lookups of one batch."""

    resolutions: list[Resolution]
    """One for each lookup, in their order."""
    cached: int
    """Lookups that were answered without the database."""
    asked: int
    """Different lookups that the database was asked for."""
    unmatched: int
    """Of those asked, the ones without exactly one recipient."""


class RecipientDirectory(Protocol):
    """Knows which recipient row an address has in an email."""

    def find(self, lookups: Sequence[Lookup]) -> Found:
        """Answer all lookups of a batch; blocks for one round trip to the database at most.

        What was found may be remembered; what was not found is asked again each time. Raises ``Transient`` if the
        database is away or busy: ask again later. ``Fatal`` if only a person can mend it.
        """

    def close(self) -> None:
        """Give the connection back. May be called twice; ``find`` opens another."""
