"""The picture of all loops and schedules, from records in whatever order they come."""

from __future__ import annotations

from itertools import permutations

from services.console.core.board import FIRST, Board, Position
from services.contracts.events import CancelFetch, FetchState, ScheduleFetch
from tests.support.console import DOMAIN, loop_state, schedule_state

ORDER = ScheduleFetch(schedule_id="s1", domain=DOMAIN, begin=1, end=2, event_types=None, requested_at=3)
CANCEL = CancelFetch(schedule_id="s1", domain=DOMAIN, requested_at=4)
NOW = 10_000_000


def board_of(*messages: FetchState | ScheduleFetch | CancelFetch) -> Board:
    board = Board()
    for message in messages:
        board.take(message)
    return board


def test_a_loop_is_behind_by_what_it_has_not_fetched() -> None:
    """Before its first run by all; the lag is that of the moment of asking."""
    board = board_of(loop_state("missing"), loop_state("latest", fetched_through=9_000_000))
    (latest, missing) = board.page(FIRST, 10, NOW).loops
    assert (latest.loop, latest.lag_seconds, latest.fetched_through) == ("latest", 1.0, "1970-01-01T00:00:09.000Z")
    assert (missing.loop, missing.lag_seconds, missing.fetched_through) == ("missing", 9.0, None)
    assert board.page(FIRST, 10, NOW + 5_000_000).loops[0].lag_seconds == 6.0


def test_a_schedule_is_the_same_in_whatever_order_its_records_are_read() -> None:
    """They are in two topics, which are read side by side."""
    state = schedule_state("s1", state="done")
    parts: list[FetchState | ScheduleFetch | CancelFetch] = [ORDER, CANCEL, state]
    rows = {str(board_of(*messages).page(FIRST, 10, NOW).schedules) for messages in permutations(parts)}
    assert len(rows) == 1
    assert "done" in rows.pop()


def test_a_cancellation_of_what_nobody_ordered_is_not_shown() -> None:
    """The order is gone by the topic's retention."""
    board = board_of(CANCEL)
    assert board.page(FIRST, 10, NOW).schedules == []
    assert board.find("s1") is None


def test_a_deleted_schedule_stays_deleted() -> None:
    """Its order may be in the other topic for days."""
    board = board_of(ORDER, schedule_state("s1"))
    board.remove(DOMAIN, "s1")
    board.take(ORDER)
    assert board.find("s1") is None
    assert board.changes(0, NOW).removed.schedules == ["s1"]
    board.take(schedule_state("s1"))
    assert board.find("s1") is not None


def test_a_deleted_loop_is_gone_until_it_runs_again() -> None:
    """And its readers are told."""
    board = board_of(loop_state())
    version = board.version
    board.remove(DOMAIN, "latest")
    assert board.page(FIRST, 10, NOW).loops == []
    assert board.changes(version, NOW).removed.loops == [(DOMAIN, "latest")]
    board.take(loop_state())
    assert [row.loop for row in board.page(FIRST, 10, NOW).loops] == ["latest"]
    assert board.changes(version, NOW).removed.loops == []


def test_pages_hold_everything_once() -> None:
    """Both lists are paged together; the shorter one is at its end before the other."""
    board = board_of(
        *[loop_state(domain=f"d{number}.example.com") for number in range(7)],
        *[schedule_state(f"s{number}") for number in range(3)],
    )
    loops, schedules = [], []
    after: Position | None = FIRST
    pages = 0
    while after is not None:
        page = board.page(after, 2, NOW)
        loops += [row.domain for row in page.loops]
        schedules += [row.id for row in page.schedules]
        after, pages = page.next, pages + 1
    assert loops == [f"d{number}.example.com" for number in range(7)]
    assert schedules == ["s0", "s1", "s2"]
    assert pages == 4


def test_only_what_changed_is_told() -> None:
    """Each thing once, as it is now."""
    board = board_of(loop_state(), loop_state("missing"), ORDER)
    version = board.version
    assert not board.changes(version, NOW)
    board.take(loop_state(state="running"))
    board.take(loop_state(state="failed"))
    changes = board.changes(version, NOW)
    assert [(row.loop, row.state) for row in changes.loops] == [("latest", "failed")]
    assert changes.schedules == []
    assert not board.changes(changes.version, NOW)


def test_a_command_of_our_own_that_is_read_back_is_no_change() -> None:
    """It was shown at once."""
    board = board_of(ORDER)
    version = board.version
    board.take(ORDER)
    assert board.version == version


def test_deleted_things_are_forgotten_in_the_end() -> None:
    """Ten thousand are remembered: the daily sweeps of 27 years."""
    board = Board()
    for number in range(10_050):
        board.remove(DOMAIN, f"s{number}")
    assert len(board.changes(0, NOW).removed.schedules) <= 10_001
