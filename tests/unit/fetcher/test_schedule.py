"""A scheduled fetch as a value: ordered, started, turned, ended, kept and read back."""

from __future__ import annotations

import msgspec
import pytest

from services.contracts.events import ScheduleFetch
from services.fetcher.core import schedule as schedules
from services.fetcher.core.cursor import SECOND, Cursor
from services.fetcher.core.retention import explanation, is_clipped
from services.fetcher.core.schedule import KEPT, Schedule, Sweep
from services.fetcher.core.slices import Slice

T = 1_787_220_000 * SECOND
HOUR = 3_600 * SECOND
ORDER = ScheduleFetch(
    schedule_id="s", domain="mg.example.com", begin=T, end=T + HOUR, event_types=None, requested_at=T + HOUR
)
QUEUED = Schedule(domain="mg.example.com", schedule_id="s", begin=T, end=T + HOUR, kept_at=T + 2 * HOUR)


def changed(**changes: object) -> ScheduleFetch:
    return msgspec.structs.replace(ORDER, **changes)


def ordered(order: ScheduleFetch) -> Schedule:
    return schedules.ordered(order, ["mg.example.com"], T + 2 * HOUR)


def test_an_order_is_queued() -> None:
    """As it was given; an empty list of types is all of them."""
    assert ordered(ORDER) == QUEUED
    assert ordered(changed(event_types=[])) == QUEUED
    assert ordered(changed(event_types=["opened"])).event_types == ("opened",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"begin": T + HOUR}, "end has to be after its begin"),
        ({"begin": T + 2 * HOUR}, "end has to be after its begin"),
        ({"begin": -1}, "between the years 1970 and 9999"),
        ({"end": 2**62}, "between the years 1970 and 9999"),
        ({"event_types": ["opened", "nonsense"]}, "no event type 'nonsense'"),
        ({"domain": "elsewhere.example.com"}, "'elsewhere.example.com' is not in MAILGUN_DOMAINS"),
        ({"domain": "x" * 9_000}, "the domain"),
    ],
)
def test_an_order_that_can_never_be_carried_out_has_failed_and_says_why(changes: dict[str, object], said: str) -> None:
    """It has ended: nothing more comes of it."""
    state = ordered(changed(**changes))
    assert state.is_ended
    assert (state.status, state.started_at) == ("failed", None)
    assert said in (state.last_error or "")
    assert len(state.last_error or "") <= 300


@pytest.mark.parametrize("name", ["", "latest", "latest_opened", "missing", "scheduled", "a\nb", "x" * 301])
def test_an_id_that_cannot_be_part_of_a_key_is_no_id(name: str) -> None:
    """Those of the loops would overwrite a loop's state."""
    assert not schedules.is_usable(changed(schedule_id=name))
    assert schedules.is_usable(changed(schedule_id="x/ü y"))


@pytest.mark.parametrize("domain", ["", "a/b", "a\nb", "x" * 254])
def test_a_domain_that_cannot_be_part_of_a_key_is_none(domain: str) -> None:
    """A state too large for its topic would hold up every command behind it."""
    assert not schedules.is_usable(changed(domain=domain))


def test_what_is_kept_of_a_hostile_order_is_small_and_in_the_calendar() -> None:
    """Whoever shows it need not be careful."""
    state = ordered(changed(begin=-(2**63), end=2**63 - 1, event_types=["x" * 99_999, "opened", "opened"]))
    assert (state.begin, state.end, state.event_types) == (0, 253_402_300_799 * SECOND, ("opened",))


def test_it_runs_from_its_first_start_to_its_end() -> None:
    """What is done without a gap is fetched through; the first start stays what it was."""
    state = schedules.started(QUEUED, T + 3 * HOUR, 3)
    assert [part.begin for part in state.slices] == [T, T + HOUR // 3, T + 2 * HOUR // 3]
    assert (state.status, state.fetched_through, state.started_at) == ("running", T, T + 3 * HOUR)
    first, second, third = state.slices
    moved = msgspec.structs.replace(first, cursor=Cursor(T + 60 * SECOND, frozenset({"e"})))
    state = schedules.turned(state, moved, T + 60 * SECOND, 5, None)
    assert (state.fetched_through, state.last_event_at, state.events_total) == (T + 60 * SECOND, T + 60 * SECOND, 5)
    state = schedules.read_out(state, second.begin, None)
    assert state.fetched_through == T + 60 * SECOND
    state = schedules.read_out(state, first.begin, "a notice")
    assert (state.fetched_through, state.last_error) == (third.begin, "a notice")
    assert schedules.started(state, T + 9 * HOUR, 3) == msgspec.structs.replace(state)
    state = schedules.read_out(state, third.begin, None)
    assert (state.status, state.fetched_through, state.is_ended) == ("done", T + HOUR, True)


def test_a_refused_one_has_not_ended() -> None:
    """It is tried again, and can be canceled."""
    state = schedules.troubled(schedules.started(QUEUED, T + 3 * HOUR, 1), "Mailgun answers 401", failed=True)
    assert (state.status, state.is_ended) == ("failed", False)
    assert schedules.canceled(state, T + 4 * HOUR).is_ended


def test_it_is_read_back_as_it_was_written() -> None:
    """In every state of its life."""
    running = schedules.started(QUEUED, T + 3 * HOUR, 3)
    part = Slice(T, T + HOUR // 3, Cursor(T + 5, frozenset({"a", "b"})))
    running = schedules.turned(running, part, T + 5, 2, "a notice")
    for state in (QUEUED, running, schedules.canceled(running, T), schedules.troubled(running, "no", failed=True)):
        assert schedules.restored(schedules.stored(state, T + 7)) == msgspec.structs.replace(state, kept_at=T + 7)


def test_those_that_have_begun_go_first_then_the_oldest() -> None:
    """Ids decide between equals only."""
    younger = msgspec.structs.replace(QUEUED, schedule_id="a", kept_at=T + 3 * HOUR)
    begun = schedules.started(msgspec.structs.replace(younger, schedule_id="z"), T + 9 * HOUR, 1)
    assert sorted([younger, QUEUED, begun], key=lambda each: each.turn) == [begun, QUEUED, younger]


def test_what_ended_a_month_ago_is_forgotten() -> None:
    """And nothing else."""
    done = msgspec.structs.replace(QUEUED, status="done")
    assert schedules.is_forgotten(done, done.kept_at + KEPT + 1)
    assert not schedules.is_forgotten(done, done.kept_at + KEPT)
    assert not schedules.is_forgotten(QUEUED, QUEUED.kept_at + 9 * KEPT)


def test_the_sweep_goes_from_so_long_ago_to_the_trust_age() -> None:
    """Without a range there is none."""
    sweep = schedules.swept("mg.example.com", "2026-08-20", T, Sweep(back=25 * HOUR, trust_age=HOUR // 2))
    assert sweep is not None
    assert sweep.schedule_id == "sweep-mg.example.com-2026-08-20"
    assert (sweep.begin, sweep.end) == (T - 25 * HOUR, T - HOUR // 2)
    assert schedules.swept("mg.example.com", "2026-08-20", T, Sweep(back=0, trust_age=0)) is None
    assert schedules.swept("mg.example.com", "2026-08-20", T, Sweep(back=HOUR, trust_age=HOUR)) is None


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (-27 * HOUR, 0, "the first 3 h of the range are beyond Mailgun's retention of 24 h"),
        (-24 * HOUR - 90 * SECOND, 0, "the first 1.5 min of the range are"),
        (-24 * HOUR - SECOND, 0, "the first 1 s of the range are"),
        (-30 * HOUR, -24 * HOUR, "the whole range is beyond Mailgun's retention of 24 h"),
        (-24 * HOUR, 0, None),
    ],
)
def test_what_is_beyond_the_retention_is_told_in_words(begin: int, end: int, said: str | None) -> None:
    """In hours, minutes or seconds, whichever fit."""
    text = explanation(T + begin, T + end, T, 24 * HOUR)
    assert (text is None) == (said is None)
    assert (text or "").startswith(said or "")
    assert is_clipped(T + begin, T, 24 * HOUR) == (said is not None)
