"""One scheduled fetch: its state as a value, and what each happening makes of it.

All instants are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from services.contracts.events import CancelFetch, FetchSlice, FetchState, ScheduleFetch
from services.contracts.reasons import EventType, Loop
from services.fetcher.core.cursor import SECOND, Cursor
from services.fetcher.core.slices import Slice, cut_range

QUEUED, RUNNING, DONE, CANCELED, FAILED = "queued", "running", "done", "canceled", "failed"
KEPT = 30 * 86_400 * SECOND
"""An ended schedule is forgotten after 30 days: long after its command, which the commands topic keeps for 7."""
_LATEST = 253_402_300_799 * SECOND
_ERROR_CHARACTERS = 300
_ID_CHARACTERS = 300
_DOMAIN_CHARACTERS = 253


class Sweep(msgspec.Struct, frozen=True):
    """The daily second look: from so long ago up to the trust age. Microseconds; nothing back is off."""

    back: int
    trust_age: int


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What the state topic keeps of a scheduled fetch."""

    domain: str
    schedule_id: str
    begin: int
    end: int
    event_types: tuple[str, ...] = ()
    """Nothing: all."""
    status: str = QUEUED
    slices: tuple[Slice, ...] = ()
    """What is left to read, in the order of time; nothing before the first start and after the end."""
    last_event_at: int | None = None
    started_at: int | None = None
    """Its first start; None also for an order that could never be carried out."""
    events_total: int = 0
    last_error: str | None = None
    kept_at: int = 0
    """When this was written to the state topic."""

    @property
    def loop(self) -> Loop:
        """Always the same one."""
        return Loop.SCHEDULED

    @property
    def key(self) -> bytes:
        """The key in the state topic."""
        return key_of(self.domain, self.schedule_id)

    @property
    def fetched_through(self) -> int | None:
        """All before it is in the raw topic: the end of the part that is done without a gap; None before the start."""
        if self.status == DONE:
            return self.end
        return self.slices[0].cursor.begin if self.slices else None

    @property
    def is_ended(self) -> bool:
        """Whether nothing more comes of it. One that Mailgun refuses has failed, but is tried again until canceled."""
        return self.status in (DONE, CANCELED) or (self.status == FAILED and self.started_at is None)

    @property
    def turn(self) -> tuple[bool, int, bytes]:
        """Sorts schedules by whose turn it is: those that have begun, then the oldest orders."""
        at = self.kept_at if self.started_at is None else self.started_at
        return self.started_at is None, at, self.key


def key_of(domain: str, schedule_id: str) -> bytes:
    """The key of a schedule in the state topic."""
    return f"{domain}/{schedule_id}".encode("utf-8", "replace")


def is_usable(command: ScheduleFetch | CancelFetch) -> bool:
    """Whether domain and id of a command can make a key: the loops' own names cannot, nor what nobody can read."""
    name, domain = command.schedule_id, command.domain
    return (
        (name.isprintable() and 0 < len(name) <= _ID_CHARACTERS and name not in set(Loop))
        and (domain.isprintable() and 0 < len(domain) <= _DOMAIN_CHARACTERS and "/" not in domain)
    )  # fmt: skip


def ordered(command: ScheduleFetch, domains: Collection[str], now: int) -> Schedule:
    """The schedule that an order makes: queued, or failed where it can never be carried out, with the reason.

    ``domains``: those that this fetcher is set up for. What is kept of a wrong order is what can be shown: instants of
    the calendar, and types that there are.
    """
    fault = _fault(command, domains)
    return Schedule(
        domain=command.domain,
        schedule_id=command.schedule_id,
        begin=min(max(0, command.begin), _LATEST),
        end=min(max(0, command.end), _LATEST),
        event_types=tuple(each.value for each in EventType if each in set(command.event_types or ())),
        status=QUEUED if fault is None else FAILED,
        last_error=None if fault is None else fault[:_ERROR_CHARACTERS],
        kept_at=now,
    )


def _fault(command: ScheduleFetch, domains: Collection[str]) -> str | None:
    if command.domain not in domains:
        return f"the domain {command.domain!r} is not in MAILGUN_DOMAINS of this fetcher"
    if command.begin >= command.end:
        return "the range is empty: its end has to be after its begin"
    if command.begin < 0 or command.end > _LATEST:
        return "the range is none that Mailgun can be asked for: it has to lie between the years 1970 and 9999"
    unknown = sorted(set(command.event_types or ()) - set(EventType))
    if unknown:
        return f"Mailgun has no event type {unknown[0]!r}; there are {', '.join(EventType)}"
    return None


def swept(domain: str, date: str, now: int, sweep: Sweep) -> Schedule | None:
    """The daily second look: what Mailgun showed later than the trust age is found too; None if it is off.

    ``date``: the UTC day in ISO form.
    """
    begin, end = max(0, now - sweep.back), now - sweep.trust_age
    if sweep.back <= 0 or begin >= end:
        return None
    return Schedule(domain=domain, schedule_id=f"sweep-{domain}-{date}", begin=begin, end=end, kept_at=now)


def started(state: Schedule, now: int, most: int) -> Schedule:
    """It runs, for the first time or again: from the slices that are left, or cut anew in ``most`` at most."""
    return msgspec.structs.replace(
        state,
        status=RUNNING,
        slices=state.slices or cut_range(state.begin, state.end, most),
        started_at=now if state.started_at is None else state.started_at,
    )


def turned(state: Schedule, part: Slice, last: int | None, served: int, notice: str | None) -> Schedule:
    """A page of a slice is published.

    ``part``: the slice after it. ``last``: its last instant so far. ``notice``: what there is to say of the range even
    though all is well.
    """
    latest = max((at for at in (state.last_event_at, last) if at is not None), default=None)
    return msgspec.structs.replace(
        with_slices(state, part),
        status=RUNNING,
        last_event_at=latest,
        events_total=state.events_total + served,
        last_error=notice,
    )


def read_out(state: Schedule, begin: int, notice: str | None) -> Schedule:
    """The slice that begins there came to its empty page; with the last one the schedule is done."""
    rest = tuple(each for each in state.slices if each.begin != begin)
    return msgspec.structs.replace(state, status=RUNNING if rest else DONE, slices=rest, last_error=notice)


def with_slices(state: Schedule, *parts: Slice) -> Schedule:
    """With these slices, in the place of those that begin where they do."""
    by_begin = {each.begin: each for each in (*state.slices, *parts)}
    return msgspec.structs.replace(state, slices=tuple(by_begin[begin] for begin in sorted(by_begin)))


def troubled(state: Schedule, error: str, *, failed: bool) -> Schedule:
    """Mailgun gave no page: it is tried again, ``failed`` or not."""
    return msgspec.structs.replace(state, status=FAILED if failed else RUNNING, last_error=error[:_ERROR_CHARACTERS])


def canceled(state: Schedule, now: int) -> Schedule:
    """Nobody wants it any more; what was published stays."""
    return msgspec.structs.replace(state, status=CANCELED, kept_at=now)


def is_forgotten(state: Schedule, now: int) -> bool:
    """Whether it ended so long ago that nobody asks for it."""
    return state.is_ended and now - state.kept_at > KEPT


def restored(state: FetchState) -> Schedule:
    """From the state topic."""
    begin = state.begin if state.range_begin is None else state.range_begin
    slices = (Slice(each.begin, each.end, Cursor(each.cursor, frozenset(each.boundary_ids))) for each in state.slices)
    return Schedule(
        domain=state.domain,
        schedule_id=state.schedule_id or "",
        begin=begin,
        end=begin if state.range_end is None else state.range_end,
        event_types=tuple(state.event_types or ()),
        status=state.state,
        slices=tuple(sorted(slices, key=lambda each: each.begin)),
        last_event_at=state.last_event_at,
        started_at=state.last_started_at,
        events_total=state.events_total,
        last_error=state.last_error,
        kept_at=state.updated_at,
    )


def stored(state: Schedule, now: int) -> FetchState:
    """For the state topic."""
    through = state.fetched_through
    return FetchState(
        domain=state.domain,
        loop=state.loop.value,
        schedule_id=state.schedule_id,
        state=state.status,
        begin=state.begin if through is None else through,
        boundary_ids=[],
        fetched_through=through,
        last_event_at=state.last_event_at,
        last_started_at=state.started_at,
        last_begin=None if state.started_at is None else state.begin,
        events_total=state.events_total,
        last_error=state.last_error,
        range_begin=state.begin,
        range_end=state.end,
        event_types=list(state.event_types) or None,
        slices=[
            FetchSlice(
                begin=each.begin,
                end=each.end,
                cursor=each.cursor.begin,
                boundary_ids=sorted(each.cursor.boundary),
            )
            for each in state.slices
        ],
        updated_at=now,
    )
