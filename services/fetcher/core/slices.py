"""A scheduled fetch's range in slices of time that are read side by side.

Only what is left to read is kept: a slice that is done is dropped, so that their number is bounded by how many are read
at once. Whoever is done takes half of the time that another slice has still to go (work stealing), so that nobody has
to know beforehand where the events are.

All instants are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import msgspec

from services.fetcher.core.cursor import MILLISECOND, SECOND, Cursor, Seen, cut

_SHORTEST_AT_FIRST = 60 * SECOND
"""A range is not cut in shorter parts before anything is known of it."""
_SHORTEST = SECOND
_FEWEST_PAGES = 3.0
"""A slice that has less to go is not halved: its next page may cover the half that was given away."""


class Bounds(msgspec.Struct, frozen=True):
    """What a scheduled fetch keeps to."""

    slices: int
    """How many are read at once, at most."""
    page_size: int
    retention: int
    """How long Mailgun keeps events, in microseconds."""


class Slice(msgspec.Struct, frozen=True):
    """A part of the range, [begin, end), and where its reading has got to."""

    begin: int
    end: int
    cursor: Cursor

    @property
    def left(self) -> int:
        """The time that is still to be read."""
        return self.end - self.cursor.begin

    @property
    def sent_end(self) -> int:
        """The end as Mailgun is asked for it: the next whole millisecond, whether Mailgun's end is inclusive or not."""
        return cut(self.end + MILLISECOND - 1)

    def holds(self, item: Seen, asked_end: int) -> bool:
        """Whether an item that was served belongs to this slice; ``asked_end``: the end that was sent.

        What Mailgun serves at the edges, because it knows milliseconds only or because the slice was halved meanwhile,
        belongs to a neighbour or to nobody. An item without a time, or of a time that was not asked for, is published
        like all others: it is Mailgun's that it belongs here.
        """
        at = item.occurred_at
        if at is None:
            return True
        return not (cut(self.begin) <= at < self.begin or self.end <= at <= asked_end + MILLISECOND)


def cut_range(begin: int, end: int, most: int) -> tuple[Slice, ...]:
    """The slices that a range is begun with: as many as may be read at once, of the same length, in order.

    ``most``: at least one. A short range stays whole.
    """
    count = max(1, min(most, (end - begin) // _SHORTEST_AT_FIRST))
    inner = [cut(begin + (end - begin) * number // count) for number in range(1, count)]
    edges = [begin, *inner, end]
    return tuple(Slice(one, other, Cursor(one)) for one, other in pairwise(edges))


class Density(msgspec.Struct, frozen=True):
    """What the last page of a slice told: how many pages a microsecond holds there."""

    pages: float

    @staticmethod
    def of(page: list[Seen], page_size: int) -> Density:
        """From a page; one that is not full tells that little is left."""
        instants = [item.occurred_at for item in page if item.occurred_at is not None]
        if len(page) < page_size or not instants:
            return Density(0.0)
        return Density(1.0 / max(1, max(instants) - min(instants)))


def richest(slices: tuple[Slice, ...], densities: Mapping[int, Density]) -> Slice | None:
    """The slice with the most left to read, if it is worth halving.

    ``densities``: by the begins of the slices; nothing is known yet of one that is not there.
    """
    known = [each for each in slices if each.begin in densities and each.left >= 2 * _SHORTEST]
    best = max(known, key=lambda each: each.left * densities[each.begin].pages, default=None)
    if best is None or best.left * densities[best.begin].pages < _FEWEST_PAGES:
        return None
    return best


def halved(whole: Slice) -> tuple[Slice, Slice]:
    """A slice that ends in the middle of what it has to read, and another one that takes over from there."""
    middle = cut(whole.cursor.begin + whole.left // 2)
    return msgspec.structs.replace(whole, end=middle), Slice(middle, whole.end, Cursor(middle))
