"""How far a rebuild has to go, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Stretch(msgspec.Struct, frozen=True):
    """The part of one partition that is applied again: [begin, end)."""

    begin: int
    end: int


class Goal:
    """The stretches of all partitions, as they were when the rebuild started: what comes later is storage's own."""

    def __init__(self, stretches: Mapping[int, Stretch]) -> None:
        self._stretches = stretches
        self._through = {number: stretch.begin for number, stretch in stretches.items()}

    @property
    def size(self) -> int:
        """Offsets to go in all: events, and the marks of transactions between them."""
        return sum(stretch.end - stretch.begin for stretch in self._stretches.values())

    @property
    def done(self) -> int:
        """Offsets that lie behind."""
        return sum(
            min(self._through[number], stretch.end) - stretch.begin for number, stretch in self._stretches.items()
        )

    @property
    def is_reached(self) -> bool:
        """Whether nothing is left to go."""
        return self.done >= self.size

    def came(self, through: Mapping[int, int]) -> None:
        """Everything below these offsets is applied. No partition goes back: it may be unknown for a while."""
        for number, offset in through.items():
            if number in self._through:
                self._through[number] = max(self._through[number], offset)
