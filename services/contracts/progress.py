"""How far a scheduled fetch has got, told from its state alone: for whoever shows it."""

from __future__ import annotations

from services.contracts.events import FetchState

DONE, CANCELED = "done", "canceled"


def covered(state: FetchState) -> float:
    """The share of the ordered range that has been fetched, from 0.0 to 1.0. It is one of time, not of events."""
    if state.state == DONE:
        return 1.0
    if state.range_begin is None or state.range_end is None or state.range_begin >= state.range_end:
        return 0.0
    whole = state.range_end - state.range_begin
    if state.slices:
        done = whole - sum(max(0, each.end - each.cursor) for each in state.slices)
    else:
        done = 0 if state.fetched_through is None else state.fetched_through - state.range_begin
    return min(1.0, max(0.0, done / whole))


def remaining_seconds(state: FetchState, now: int) -> float | None:
    """Seconds until a scheduled fetch is done, if it goes on as it has so far; None while that is unknown.

    ``now``: microseconds since 1970-01-01 UTC. What is done has 0.0 to go; what has not begun, or was canceled, is
    unknown.
    """
    share = covered(state)
    if share >= 1.0:
        return 0.0
    if share <= 0.0 or state.last_started_at is None or state.state == CANCELED:
        return None
    return max(0, now - state.last_started_at) / 1e6 * (1.0 - share) / share
