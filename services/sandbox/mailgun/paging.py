"""Pages: the items of a query behind a position, and the four positions that lead on from there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile

import msgspec

from services.sandbox.mailgun.events import milliseconds
from services.sandbox.mailgun.queries import Query, Range, Selection
from services.sandbox.mailgun.store import Entry, EventStore, Key
from services.sandbox.mailgun.tokens import Position

# Where Mailgun's own tokens put the end of an open range: 2037-12-31T23:59:59.999Z.
_FAR_MS = 2_145_916_799_999
_BEFORE_ALL, _AFTER_ALL = "", "\U0010ffff"


class Page(msgspec.Struct, frozen=True):
    """What one request gets."""

    entries: list[Entry]
    first: Position
    previous: Position
    next: Position
    last: Position


class _Bounds(msgspec.Struct, frozen=True):
    """The instants that a range covers, in seconds."""

    low: float
    high: float
    low_inclusive: bool
    high_inclusive: bool

    def is_below(self, instant: float) -> bool:
        return instant < self.low or (instant == self.low and not self.low_inclusive)

    def is_above(self, instant: float) -> bool:
        return instant > self.high or (instant == self.high and not self.high_inclusive)


def page(
    store: EventStore,
    query: Query,
    position: Position | None,
    *,
    now: float,
    edge_ms: int,
    end_inclusive: bool,
) -> Page:
    """The page behind ``position`` (None: the first) of what is visible ``now``.

    ``edge_ms``: the oldest instant that is kept; whatever is older is left out, silently.
    """
    asked = query.range.clipped(edge_ms)
    at = Position(asked.begin_ms) if position is None else position
    found = list(islice(_matching(store, query, asked, at, now=now, end_inclusive=end_inclusive), query.limit))
    if at.back:
        found.reverse()
    return Page(found, *_links(asked, at, found))


def _matching(
    store: EventStore, query: Query, asked: Range, at: Position, *, now: float, end_inclusive: bool
) -> Iterator[Entry]:
    """All that the query wants from the position on, in the direction of the page."""
    selection = Selection(query.filters)
    types = selection.event_types(store.event_types)
    bounds = _bounds(asked, end_inclusive=end_inclusive)
    start = _start(store, at, upwards=asked.ascending != at.back)
    if asked.ascending != at.back:
        entries = takewhile(lambda entry: not bounds.is_above(entry.key[0]), store.upwards(types, start, now))
        inside = (entry for entry in entries if not bounds.is_below(entry.key[0]))
    else:
        entries = takewhile(lambda entry: not bounds.is_below(entry.key[0]), store.downwards(types, start, now))
        inside = (entry for entry in entries if not bounds.is_above(entry.key[0]))
    behind = (entry for entry in inside if at.event_id is None or entry.key != start)
    if selection.by_type_alone:
        return behind
    return (entry for entry in behind if selection.matches(entry.payload))


def _bounds(asked: Range, *, end_inclusive: bool) -> _Bounds:
    """The begin is inclusive, the end as the scenario says; begin is the later one of a descending range."""
    begin = asked.begin_ms / 1000
    if asked.ascending:
        high = float("inf") if asked.end_ms is None else asked.end_ms / 1000
        return _Bounds(begin, high, low_inclusive=True, high_inclusive=end_inclusive)
    low = float("-inf") if asked.end_ms is None else asked.end_ms / 1000
    return _Bounds(low, begin, low_inclusive=end_inclusive, high_inclusive=True)


def _start(store: EventStore, at: Position, *, upwards: bool) -> Key:
    """The key from which to look: that of the boundary item, or the edge of its millisecond, where no item stands."""
    if at.event_id is not None:
        key = store.key_of(at.instant_ms, at.event_id)
        if key is not None:
            return key
    return (at.instant_ms / 1000, _BEFORE_ALL if upwards else _AFTER_ALL)


def _links(asked: Range, at: Position, found: list[Entry]) -> tuple[Position, Position, Position, Position]:
    """First, previous, next and last.

    An empty page stays where it is, so that it can be asked again; the way back from it shows the boundary item too.
    """
    first = Position(asked.begin_ms)
    far = asked.end_ms if asked.end_ms is not None else (_FAR_MS if asked.ascending else 0)
    last = Position(far, back=True)
    if found:
        return first, _at(found[0], back=True), _at(found[-1], back=False), last
    if at.back:
        return first, at, first, last
    beyond = 1 if asked.ascending and at.event_id is not None else 0
    return first, Position(at.instant_ms + beyond, back=True), at, last


def _at(entry: Entry, *, back: bool) -> Position:
    instant, event_id = entry.key
    return Position(milliseconds(instant), event_id, back=back)
