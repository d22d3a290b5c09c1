"""Where a loop has got to, and how a run of pages moves it.

A cursor is the last event's instant in full precision and the ids seen there. Mailgun takes ``begin`` in
milliseconds and inclusive, so the same events come once more with the next run: what is in the boundary is
dropped. The boundary therefore holds every id at or after the begin, cut to milliseconds, as it will be sent.

All instants are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MILLISECOND = 1_000
SECOND = 1_000_000
SETTLED = 2 * SECOND
"""A last event older than this is not asked for again."""


def cut(instant: int) -> int:
    """An instant cut to the millisecond, as it is sent to Mailgun."""
    return instant - instant % MILLISECOND


class Cursor(msgspec.Struct, frozen=True):
    """Where the next run begins, and the ids that are in the raw topic already from there on."""

    begin: int
    boundary: frozenset[str] = frozenset()

    @property
    def sent_begin(self) -> int:
        """The begin as Mailgun is asked for it."""
        return cut(self.begin)


class Seen(msgspec.Struct, frozen=True):
    """What a run knows of an item: its id, and its instant if it has a usable one."""

    event_id: str
    occurred_at: int | None


class Run(msgspec.Struct, frozen=True):
    """One walk over the pages of a range: a value, replaced with every page."""

    end: int
    """Fixed when the run starts, in whole milliseconds as it is sent."""
    start: Cursor
    cursor: Cursor
    recent: tuple[Seen, ...] = ()
    """The events at or after the cursor's begin, cut to milliseconds: the next boundary."""
    published: int = 0
    served: bool = False
    """Whether an event of the range was served, new or not."""

    @property
    def last(self) -> int | None:
        """The last instant that was published; None before the first."""
        return self.cursor.begin if self.served else None


def begin_run(cursor: Cursor, end: int) -> Run | None:
    """A run from the cursor to ``end``; None if there is nothing to ask: begin, as sent, is not before end."""
    if cursor.sent_begin >= cut(end):
        return None
    kept = tuple(Seen(event_id, cursor.begin) for event_id in sorted(cursor.boundary))
    return Run(end=cut(end), start=cursor, cursor=cursor, recent=kept)


def fresh(run: Run, page: Sequence[Seen]) -> list[int]:
    """Which items of a page are to be published: those that are not known from the boundary, each once.

    An id is unique within a day only, so it is known only about the instants where it was seen.
    """
    recent = {seen.event_id for seen in run.recent}
    here: set[Seen] = set()
    positions = []
    for position, item in enumerate(page):
        known = (item.event_id in run.start.boundary and _is_at(run.start, item)) or (
            item.event_id in recent and _is_at(run.cursor, item)
        )
        if not known and item not in here:
            here.add(item)
            positions.append(position)
    return positions


def _is_at(cursor: Cursor, item: Seen) -> bool:
    """Whether an item may be one that a cursor's boundary holds; one without a time may be any."""
    return item.occurred_at is None or cursor.sent_begin <= item.occurred_at <= cursor.begin + MILLISECOND


def turn(run: Run, page: Sequence[Seen], published: int) -> Run:
    """The run after a page is published: the cursor stands at its last event, and never goes back.

    An item without a time, or with one outside the run's range, is published like the others but moves nothing.
    """
    beyond = run.end + MILLISECOND  # Mailgun may take the whole millisecond of the end for the range's.
    timed = [
        item for item in page if item.occurred_at is not None and run.start.sent_begin <= item.occurred_at < beyond
    ]
    if not timed:
        return msgspec.structs.replace(run, published=run.published + published)
    last = max(run.cursor.begin, *(item.occurred_at for item in timed if item.occurred_at is not None))
    recent = {
        item.event_id: item
        for item in (*run.recent, *timed)
        if item.occurred_at is not None and item.occurred_at >= cut(last)
    }
    return msgspec.structs.replace(
        run,
        cursor=Cursor(last, frozenset(recent)),
        recent=tuple(recent.values()),
        published=run.published + published,
        served=True,
    )


def is_cut(run: Run, max_events: int) -> bool:
    """Whether the run has published enough; never before its cursor has passed its begin, so it always advances."""
    return run.published >= max_events and run.cursor.sent_begin > run.start.sent_begin


def settle(run: Run, now: int) -> Cursor:
    """The cursor after a clean run, read to its empty page.

    With a last event older than two seconds the begin moves one second past it, so that a quiet domain is not asked
    for the same events for ever; but never past the run's end, since nobody has looked there.
    """
    if not run.served or now - run.cursor.begin <= SETTLED:
        return run.cursor
    begin = max(run.cursor.begin, min(run.cursor.begin + SECOND, run.end))
    kept = (seen.event_id for seen in run.recent if seen.occurred_at is not None and seen.occurred_at >= cut(begin))
    return Cursor(begin, frozenset(kept))
