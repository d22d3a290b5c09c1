"""Scheduled fetches: which orders are right, and how each stands by its order, its cancellation and its state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from services.console.core.requests import BadRequest
from services.console.core.times import iso
from services.contracts.events import CancelFetch, FetchState, ScheduleFetch
from services.contracts.progress import covered, remaining_seconds
from services.contracts.reasons import EventType

QUEUED, RUNNING, DONE, CANCELED, FAILED = "queued", "running", "done", "canceled", "failed"
EVENT_TYPES = tuple(each.value for each in EventType if each is not EventType.UNKNOWN)
_STATES = frozenset({QUEUED, RUNNING, DONE, CANCELED, FAILED})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_AGO = re.compile(r"-(?P<count>[0-9]{1,9})(?P<unit>[smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_DIGITS, _RANDOM_DIGITS = 9, 5


class Schedule(msgspec.Struct, frozen=True):
    """What is known of a scheduled fetch; a part of it is always there."""

    order: ScheduleFetch | None = None
    cancel: CancelFetch | None = None
    state: FetchState | None = None

    @property
    def domain(self) -> str:
        """Whose events it fetches."""
        return next(part.domain for part in (self.state, self.order, self.cancel) if part is not None)

    @property
    def status(self) -> str:
        """queued, running, done, canceled or failed; one that no fetcher has taken up ends at once when canceled."""
        if self.state is None:
            return QUEUED if self.cancel is None else CANCELED
        return self.state.state if self.state.state in _STATES else RUNNING

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it. What Mailgun refuses has failed and is tried again until it is canceled;
        what could never be carried out was never started."""
        if self.status == FAILED:
            return self.state is None or self.state.last_started_at is None
        return self.status in (DONE, CANCELED)

    @property
    def has_range(self) -> bool:
        """Whether it can be shown: a cancellation alone tells nothing of what was ordered."""
        return self.state is not None or self.order is not None


class ScheduleRow(msgspec.Struct, frozen=True, gc=False):
    """An entry of the schedules in ``GET /api/loops``; times are ISO 8601 in UTC."""

    id: str
    domain: str
    begin: str | None
    end: str | None
    state: str
    ended: bool
    """Nothing more comes of it: not so of one that has failed and is tried again."""
    fetched_through: str | None
    events: int
    event_types: list[str] | None
    progress: float
    """From 0 to 1: the share of the range, by time."""
    remaining_seconds: float | None
    canceling: bool
    """It is told to stop and has not ended yet."""
    last_error: str | None
    requested_at: str | None
    last_started: str | None
    updated_at: str | None


def schedule_row(schedule_id: str, schedule: Schedule, now: int) -> ScheduleRow:
    """A scheduled fetch as it is ``now`` (microseconds)."""
    order, state, status = schedule.order, schedule.state, schedule.status
    begin, end = (order.begin, order.end) if order else (None, None)
    if state is not None and state.range_begin is not None:
        begin, end = state.range_begin, state.range_end
    remaining = None if state is None or status in (CANCELED, FAILED) else remaining_seconds(state, now)
    return ScheduleRow(
        id=schedule_id,
        domain=schedule.domain,
        begin=iso(begin),
        end=iso(end),
        state=status,
        ended=schedule.has_ended,
        fetched_through=iso(state.fetched_through) if state else None,
        events=state.events_total if state else 0,
        event_types=(state or order).event_types if state or order else None,  # type: ignore[union-attr]  # one is there
        progress=round(covered(state), 4) if state else 0.0,
        remaining_seconds=None if remaining is None else round(remaining, 1),
        canceling=schedule.cancel is not None and not schedule.has_ended,
        last_error=state.last_error if state else None,
        requested_at=iso(order.requested_at) if order else None,
        last_started=iso(state.last_started_at) if state else None,
        updated_at=iso(state.updated_at) if state else iso(order.requested_at) if order else None,
    )


class ScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/schedules``."""

    domain: str
    begin: str
    end: str
    event_types: list[str] | None = None


class Order(msgspec.Struct, frozen=True):
    """A right order, not yet numbered. Instants are microseconds."""

    domain: str
    begin: int
    end: int
    event_types: list[str] | None


def order_of(request: ScheduleRequest, domains: Sequence[str], now: int) -> Order:
    """The order that is asked for. ``domains``: those that may be asked; ``now``: microseconds.

    Raises:
        BadRequest: with what is wrong and what would be right.

    """
    domain = request.domain.strip().lower()
    if domain not in domains:
        raise BadRequest(f"domain: {request.domain[:100]!r} is none of MAILGUN_DOMAINS ({', '.join(domains)})")
    begin, end = instant_of("begin", request.begin), instant_of("end", request.end)
    for name, instant in (("begin", begin), ("end", end)):
        if instant > now:
            raise BadRequest(f"{name}: {iso(instant)} is in the future; Mailgun has no events of then")
        if instant < 0:
            raise BadRequest(f"{name}: give a time after 1970")
    if end <= begin:
        raise BadRequest(f"end: {iso(end)} is not after begin, {iso(begin)}; the range is [begin, end)")
    return Order(domain, begin, end, _types_of(request.event_types))


def instant_of(name: str, text: str) -> int:
    """Microseconds since 1970 of a time in ISO 8601. ``name``: what it is, for the message.

    Raises:
        BadRequest: it is none, or has no zone.

    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadRequest(f"{name}: {text[:50]!r} is no time; write it as 2026-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise BadRequest(f"{name}: {text[:50]!r} has no zone; add Z for UTC, or an offset such as +02:00")
    try:
        return (instant.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except OverflowError:
        raise BadRequest(f"{name}: {text[:50]!r} is out of range in UTC") from None


def moment_of(name: str, text: str, now: int) -> str:
    """A time as a person types it: ``now``, so long ago (``-90s``, ``-30m``, ``-2h``, ``-1d``), or in ISO 8601 already.

    ``name``: what it is, for the message; ``now``: microseconds.
    """
    if text == "now":
        return str(iso(now))
    if (ago := _AGO.fullmatch(text)) is None:
        return text
    since = now - int(ago["count"]) * _UNITS[ago["unit"]] * 1_000_000
    if since < 0:
        raise BadRequest(f"{name}: give a time after 1970")
    return str(iso(since))


def _types_of(names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    if not names:
        raise BadRequest("event_types: is empty; leave it out for all types")
    for name in names:
        if name not in EVENT_TYPES:
            raise BadRequest(f"event_types: {name[:50]!r} is no type of Mailgun's; there are {', '.join(EVENT_TYPES)}")
    return list(dict.fromkeys(names))


def warning_of(order: Order, now: int, retention_hours: float) -> str | None:
    """What to say of an order that begins before what Mailgun still keeps; None if it does not."""
    oldest = now - round(retention_hours * 3_600_000_000)
    if order.begin >= oldest:
        return None
    return (
        f"begin is older than Mailgun keeps events (MAILGUN_RETENTION_HOURS, {retention_hours:g}): "
        f"expect nothing from before {iso(oldest)}"
    )


def schedule_id(now: int, random_bits: int) -> str:
    """A short id; later ones sort after earlier ones. ``now``: microseconds; ``random_bits``: 25 of them."""
    return _in_base32(now // 1000, _TIME_DIGITS) + _in_base32(random_bits, _RANDOM_DIGITS)


def _in_base32(number: int, digits: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(digits)))
