"""What is measured, and what may be said of it: medians, ratios to the floor, aims. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from math import ceil
from statistics import median

import msgspec


class Ratio(StrEnum):
    """What a ratio to the floor says."""

    COST = "cost"
    """How many times as long an event takes as on the floor."""
    SPEED_UP = "speed-up"
    """How many times as fast it goes as on the floor."""


class Aim(msgspec.Struct, frozen=True):
    """What design.md wants of a figure; missing it is no failure."""

    bound: float
    at_least: bool
    """Else at most."""
    of_ratio: bool = False
    """Bounds the ratio, not the figure."""

    def is_met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound


class Figure(msgspec.Struct, frozen=True):
    """One row of the table."""

    title: str
    unit: str
    """``events/s`` for a rate; all else is better the less it is."""
    aims: tuple[Aim, ...] = ()
    ratio: Ratio = Ratio.COST
    floor: str = ""
    """What the floor is, in a few words; empty: there is none."""

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self.unit.endswith("/s")


class Sample(msgspec.Struct, frozen=True):
    """What one run found."""

    figure: Figure
    value: float
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        """The ratio to the floor of the same run."""
        if self.floor is None:
            return None
        as_cost = self.figure.ratio is Ratio.COST
        over, under = (self.value, self.floor) if self.figure.is_rate != as_cost else (self.floor, self.value)
        return over / under


class Spread(msgspec.Struct, frozen=True):
    """Several runs in three numbers."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))


class Row(msgspec.Struct, frozen=True):
    """A figure after all runs."""

    figure: Figure
    value: Spread
    floor: Spread | None
    ratio: Spread | None
    """Of the ratios within each run: the machine's mood is in both and falls out."""

    def verdicts(self) -> list[tuple[Aim, bool]]:
        """Each aim, and whether the median meets it."""
        spreads = [(aim, self.ratio if aim.of_ratio else self.value) for aim in self.figure.aims]
        return [(aim, aim.is_met(spread.median)) for aim, spread in spreads if spread is not None]


def rows_of(samples: Iterable[Sample]) -> list[Row]:
    """The rows of the samples of any number of runs, in the order in which each figure first came."""
    order: dict[str, int] = {}
    kept = sorted(samples, key=lambda sample: order.setdefault(sample.figure.title, len(order)))
    return [_row(list(group)) for _, group in groupby(kept, key=lambda sample: sample.figure.title)]


def _row(samples: Sequence[Sample]) -> Row:
    floors = [sample.floor for sample in samples if sample.floor is not None]
    ratios = [sample.ratio for sample in samples if sample.ratio is not None]
    return Row(
        samples[0].figure,
        Spread.of([sample.value for sample in samples]),
        Spread.of(floors) if floors else None,
        Spread.of(ratios) if ratios else None,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that ``percent`` of the values (at least one) do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, ceil(len(ranked) * percent / 100) - 1)]


class Progress:
    """How far something has come at which instants, and the rate that follows.

    The first step is not timed if there are more: it holds starts, connections and plans, which say nothing of the
    rate that lasts.
    """

    def __init__(self, began: float) -> None:
        """``began``: the instant of the beginning, in seconds of any clock that does not go back."""
        self._marks = [(began, 0)]

    def reached(self, at: float, count: int) -> None:
        """So much is done in all; a count that has not grown is passed over."""
        if count > self._marks[-1][1]:
            self._marks.append((at, count))

    @property
    def per_second(self) -> float:
        """The rate from the end of the first step on, or of the only step."""
        (began, before), (ended, count) = self._marks[1 if len(self._marks) > 2 else 0], self._marks[-1]
        return (count - before) / max(1e-9, ended - began)
