"""A model of Mailgun for property tests: events with a time, an id and a moment from which they are visible."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.fetcher.core.cursor import Seen, cut


class ModelEvent(msgspec.Struct, frozen=True):
    """An event; all instants in microseconds."""

    event_id: str
    occurred_at: int
    visible_at: int


def pages(
    events: Sequence[ModelEvent],
    begin: int,
    end: int,
    *,
    times: Sequence[int],
    size: int,
    end_inclusive: bool,
) -> list[list[Seen]]:
    """The pages of a range, each served at its own moment, down to the empty one.

    As Mailgun does: sorted by millisecond, then id; a page begins after the position (millisecond, id) of the last
    item of the page before, among what is visible when it is served.
    """
    served: list[list[Seen]] = []
    position: tuple[int, str] | None = None
    moments = iter(times)
    moment = times[0]
    while True:
        moment = next(moments, moment)
        upper = end + 1 if end_inclusive else end
        visible = sorted(
            (cut(event.occurred_at), event.event_id, event.occurred_at)
            for event in events
            if event.visible_at <= moment and begin <= event.occurred_at < upper
        )
        rest = [each for each in visible if position is None or each[:2] > position][:size]
        served.append([Seen(event_id, occurred_at) for _, event_id, occurred_at in rest])
        if not rest:
            return served
        position = rest[-1][:2]
