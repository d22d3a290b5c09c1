"""Orders of fetches: which are right, and how a schedule stands."""

from __future__ import annotations

import msgspec
import pytest

from services.console.core.requests import BadRequest
from services.console.core.schedules import (
    Schedule,
    ScheduleRequest,
    moment_of,
    order_of,
    schedule_id,
    schedule_row,
    warning_of,
)
from services.contracts.events import CancelFetch, FetchSlice, ScheduleFetch
from tests.support.console import DOMAIN, schedule_state

NOW = 1_787_205_600_000_000  # 2026-08-20T06:00:00Z
HOUR = 3_600_000_000
GOOD = ScheduleRequest(DOMAIN, "2026-08-20T01:00:00Z", "2026-08-20T05:00:00+02:00")
COMMAND = ScheduleFetch(
    schedule_id="s1", domain=DOMAIN, begin=NOW - HOUR, end=NOW, event_types=["failed"], requested_at=NOW
)
CANCEL = CancelFetch(schedule_id="s1", domain=DOMAIN, requested_at=NOW)


def test_an_order_is_in_microseconds_of_utc() -> None:
    """Whatever zone it was written in; the domain in any case."""
    order = order_of(msgspec.structs.replace(GOOD, domain=" MG.Example.com "), [DOMAIN], NOW)
    assert (order.domain, order.begin, order.end) == (DOMAIN, NOW - 5 * HOUR, NOW - 3 * HOUR)
    assert order.event_types is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"domain": "other.example.com"}, "domain: 'other.example.com' is none of MAILGUN_DOMAINS (mg.example.com)"),
        ({"begin": "yesterday"}, "begin: 'yesterday' is no time; write it as 2026-01-31T12:00:00Z"),
        ({"begin": "2026-08-20T01:00:00"}, "begin: '2026-08-20T01:00:00' has no zone"),
        ({"end": "2026-08-20"}, "end: '2026-08-20' has no zone"),
        ({"end": "2026-08-20T01:00:00Z"}, "end: 2026-08-20T01:00:00.000Z is not after begin"),
        ({"end": "2026-08-20T00:00:00Z"}, "is not after begin"),
        (
            {"begin": "2026-08-20T07:00:00Z", "end": "2026-08-20T08:00:00Z"},
            "begin: 2026-08-20T07:00:00.000Z is in",
        ),
        ({"end": "2026-08-20T06:00:00.001Z"}, "end: 2026-08-20T06:00:00.001Z is in the future"),
        ({"begin": "0001-01-01T00:00:00+14:00"}, "is out of range in UTC"),
        ({"begin": "1969-12-31T23:59:59Z"}, "begin: give a time after 1970"),
        ({"end": "9999-12-31T23:59:59-14:00"}, "is out of range in UTC"),
        ({"end": "9999-12-31T23:59:59Z"}, "is in the future"),
        ({"event_types": []}, "event_types: is empty"),
        ({"event_types": ["failed", "bounced"]}, "event_types: 'bounced' is no type of Mailgun's; there are accepted"),
        ({"event_types": ["unknown"]}, "'unknown' is no type"),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(change: dict[str, object], says: str) -> None:
    """And says what would be right."""
    with pytest.raises(BadRequest) as refused:
        order_of(msgspec.structs.replace(GOOD, **change), [DOMAIN], NOW)
    assert says in str(refused.value)


def test_event_types_are_kept_once_each() -> None:
    """In the order in which they were named."""
    order = order_of(msgspec.structs.replace(GOOD, event_types=["opened", "failed", "opened"]), [DOMAIN], NOW)
    assert order.event_types == ["opened", "failed"]


def test_an_order_beyond_the_retention_has_a_warning() -> None:
    """It is no refusal: the setting may be wrong."""
    order = order_of(GOOD, [DOMAIN], NOW)
    assert warning_of(order, NOW, 5) is None
    assert "2026-08-20T01:15:00.000Z" in (warning_of(order, NOW, 4.75) or "")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-08-20T06:00:00.000Z"),
        ("-90s", "2026-08-20T05:58:30.000Z"),
        ("-30m", "2026-08-20T05:30:00.000Z"),
        ("-2h", "2026-08-20T04:00:00.000Z"),
        ("-1d", "2026-08-19T06:00:00.000Z"),
        ("2026-08-20T01:00:00Z", "2026-08-20T01:00:00Z"),
        ("-1w", "-1w"),
    ],
)
def test_a_person_may_say_how_long_ago(text: str, moment: str) -> None:
    """What is not understood is left for whoever refuses it."""
    assert moment_of("begin", text, NOW) == moment


def test_so_long_ago_that_there_was_no_mail() -> None:
    """No overflow."""
    with pytest.raises(BadRequest, match="after 1970"):
        moment_of("begin", "-999999999d", NOW)


def test_ids_are_short_and_sort_by_time() -> None:
    """Also where the random part would say otherwise."""
    earlier, later = schedule_id(NOW, 2**25 - 1), schedule_id(NOW + 1000, 0)
    assert earlier < later
    assert {len(earlier), len(later)} == {14}
    assert schedule_id(NOW, 1) != schedule_id(NOW, 2)


@pytest.mark.parametrize(
    ("schedule", "status"),
    [
        (Schedule(order=COMMAND), "queued"),
        (Schedule(order=COMMAND, cancel=CANCEL), "canceled"),
        (Schedule(order=COMMAND, state=schedule_state("s1")), "running"),
        (Schedule(order=COMMAND, cancel=CANCEL, state=schedule_state("s1")), "running"),
        (Schedule(state=schedule_state("s1", state="backing_off")), "running"),
        (Schedule(state=schedule_state("s1", state="queued")), "queued"),
        (Schedule(cancel=CANCEL, state=schedule_state("s1", state="done")), "done"),
    ],
)
def test_the_state_of_a_schedule(schedule: Schedule, status: str) -> None:
    """By order and cancellation alone until a fetcher has taken it up; then by its state."""
    assert schedule.status == status
    assert schedule.domain == DOMAIN


def test_a_row_of_a_running_schedule() -> None:
    """Half of the range is left, in slices; what took 10 s takes 10 s more."""
    state = schedule_state(
        "s1",
        last_started_at=NOW - 10_000_000,
        slices=[FetchSlice(begin=1_000_000, end=11_000_000, cursor=6_000_000, boundary_ids=[])],
        events_total=7,
        last_error="no",
    )
    row = schedule_row("s1", Schedule(order=COMMAND, cancel=CANCEL, state=state), NOW)
    assert (row.begin, row.end) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:11.000Z")
    assert (row.progress, row.remaining_seconds, row.events) == (0.5, 10.0, 7)
    assert (row.canceling, row.last_error) == (True, "no")


def test_a_row_of_what_only_was_ordered() -> None:
    """All that is known of it comes from the command."""
    row = schedule_row("s1", Schedule(order=COMMAND), NOW)
    assert (row.state, row.progress, row.remaining_seconds, row.events) == ("queued", 0.0, None, 0)
    assert (row.begin, row.end) == ("2026-08-20T05:00:00.000Z", "2026-08-20T06:00:00.000Z")
    assert (row.event_types, row.requested_at, row.canceling) == (["failed"], "2026-08-20T06:00:00.000Z", False)


@pytest.mark.parametrize(("started", "ended"), [(1, False), (None, True)])
def test_what_mailgun_refuses_is_tried_again_and_what_can_never_be_done_has_ended(
    started: int | None, ended: bool
) -> None:
    """Both have failed and have no time left; only the one that has begun can still be canceled."""
    state = schedule_state("s1", state="failed", fetched_through=6_000_000, last_started_at=started)
    row = schedule_row("s1", Schedule(state=state), NOW)
    assert (row.state, row.ended, row.remaining_seconds) == ("failed", ended, None)
