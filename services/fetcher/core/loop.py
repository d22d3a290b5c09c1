"""One loop of one domain: its state as a value, and what each happening makes of it."""

from __future__ import annotations

import msgspec

from services.contracts.events import FetchState
from services.contracts.reasons import Loop
from services.fetcher.core.cursor import Cursor, Run, settle

IDLE, RUNNING, BACKING_OFF, FAILED = "idle", "running", "backing_off", "failed"
_ERROR_CHARACTERS = 300


class LoopState(msgspec.Struct, frozen=True):
    """What the state topic keeps of a loop, with the cursor as a value."""

    domain: str
    loop: Loop
    cursor: Cursor
    status: str = IDLE
    fetched_through: int | None = None
    last_event_at: int | None = None
    last_started_at: int | None = None
    last_begin: int | None = None
    events_total: int = 0
    last_error: str | None = None

    @property
    def key(self) -> bytes:
        """The key in the state topic."""
        return f"{self.domain}/{self.loop}".encode()


def restored(state: FetchState) -> LoopState:
    """From the state topic."""
    return LoopState(
        domain=state.domain,
        loop=Loop(state.loop),
        cursor=Cursor(state.begin, frozenset(state.boundary_ids)),
        status=IDLE,
        fetched_through=state.fetched_through,
        last_event_at=state.last_event_at,
        last_started_at=state.last_started_at,
        last_begin=state.last_begin,
        events_total=state.events_total,
        last_error=state.last_error,
    )


def stored(state: LoopState, now: int) -> FetchState:
    """For the state topic."""
    return FetchState(
        domain=state.domain,
        loop=state.loop.value,
        state=state.status,
        begin=state.cursor.begin,
        boundary_ids=sorted(state.cursor.boundary),
        fetched_through=state.fetched_through,
        last_event_at=state.last_event_at,
        last_started_at=state.last_started_at,
        last_begin=state.last_begin,
        events_total=state.events_total,
        last_error=state.last_error,
        updated_at=now,
    )


def started(state: LoopState, run: Run, now: int) -> LoopState:
    """A run begins."""
    # Had the clock been ahead, what is fetched through would be in the future, and the lag 0 until then.
    through = None if state.fetched_through is None else min(state.fetched_through, now)
    return msgspec.structs.replace(
        state, status=RUNNING, fetched_through=through, last_started_at=now, last_begin=run.start.begin
    )


def turned(state: LoopState, run: Run, published: int) -> LoopState:
    """A page of the run is published: what lies before its last event has been fetched."""
    last = run.last
    return msgspec.structs.replace(
        state,
        cursor=run.cursor,
        fetched_through=_later(state.fetched_through, last),
        last_event_at=_later(state.last_event_at, last),
        events_total=state.events_total + published,
        last_error=None,
    )


def completed(state: LoopState, run: Run, now: int) -> LoopState:
    """The run came to its empty page: all up to its end has been fetched."""
    return msgspec.structs.replace(
        state,
        status=IDLE,
        cursor=settle(run, now),
        fetched_through=_later(state.fetched_through, run.end),
        last_error=None,
    )


def paused(state: LoopState) -> LoopState:
    """The run was cut, having published enough: the next one goes on from its cursor."""
    return msgspec.structs.replace(state, status=IDLE)


def troubled(state: LoopState, status: str, error: str) -> LoopState:
    """The run failed: the cursor stays where the last published page left it."""
    return msgspec.structs.replace(state, status=status, last_error=error[:_ERROR_CHARACTERS])


def _later(one: int | None, other: int | None) -> int | None:
    return max((instant for instant in (one, other) if instant is not None), default=None)
