"""A loop of the fetcher as the API shows it."""

from __future__ import annotations

import msgspec

from services.console.core.times import iso
from services.contracts.events import FetchState


class LoopRow(msgspec.Struct, frozen=True, gc=False):
    """An entry of ``GET /api/loops``; times are ISO 8601 in UTC."""

    domain: str
    loop: str
    state: str
    last_started: str | None
    last_begin: str | None
    last_event_timestamp: str | None
    fetched_through: str | None
    lag_seconds: float
    """Now minus what is fetched through, as it is when it is asked for: that of a dead fetcher grows."""
    events_total: int
    last_error: str | None
    updated_at: str | None


def loop_row(state: FetchState, now: int) -> LoopRow:
    """A loop as it is ``now`` (microseconds). Before its first complete run it is behind by all that it has to read."""
    reached = state.begin if state.fetched_through is None else state.fetched_through
    return LoopRow(
        domain=state.domain,
        loop=state.loop,
        state=state.state,
        last_started=iso(state.last_started_at),
        last_begin=iso(state.last_begin),
        last_event_timestamp=iso(state.last_event_at),
        fetched_through=iso(state.fetched_through),
        lag_seconds=round(max(0, now - reached) / 1e6, 3),
        events_total=state.events_total,
        last_error=state.last_error,
        updated_at=iso(state.updated_at),
    )
