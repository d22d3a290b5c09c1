"""The rules of the cursor, one by one (design: the fetcher's loops)."""

from __future__ import annotations

from services.fetcher.core import cursor as cursors
from services.fetcher.core.cursor import SECOND, Cursor, Run, Seen

T = 1_787_220_000 * SECOND


def run_from(cursor: Cursor, end: int) -> Run:
    run = cursors.begin_run(cursor, end)
    assert run is not None
    return run


def ids(page: list[Seen], run: Run) -> list[str]:
    return [page[at].event_id for at in cursors.fresh(run, page)]


def test_a_run_whose_begin_as_sent_is_not_before_its_end_asks_nothing() -> None:
    assert cursors.begin_run(Cursor(T + 999), T) is None
    assert cursors.begin_run(Cursor(T + 999), T + 999) is None
    assert cursors.begin_run(Cursor(T + 999), T + 1_000) is not None


def test_begin_is_sent_cut_to_the_millisecond() -> None:
    assert Cursor(T + 123_999).sent_begin == T + 123_000


def test_the_cursor_stands_at_the_last_event_with_all_ids_of_its_millisecond() -> None:
    run = run_from(Cursor(T), T + 10 * SECOND)
    page = [Seen("a", T + 1_000), Seen("b", T + 2_100), Seen("c", T + 2_900)]
    turned = cursors.turn(run, page, 3)
    assert turned.cursor == Cursor(T + 2_900, frozenset({"b", "c"}))


def test_what_was_seen_at_the_boundary_is_dropped_and_a_late_neighbour_is_not() -> None:
    run = run_from(Cursor(T + 2_900, frozenset({"b", "c"})), T + 10 * SECOND)
    page = [Seen("b", T + 2_100), Seen("late", T + 2_500), Seen("c", T + 2_900), Seen("d", T + 3_000)]
    assert ids(page, run) == ["late", "d"]


def test_an_item_without_a_time_or_outside_the_range_is_published_and_moves_nothing() -> None:
    run = run_from(Cursor(T), T + SECOND)
    page = [Seen("none", None), Seen("before", T - SECOND), Seen("after", T + 5 * SECOND)]
    assert ids(page, run) == ["none", "before", "after"]
    turned = cursors.turn(run, page, 3)
    assert turned.cursor == run.cursor
    assert not turned.served


def test_an_id_that_comes_again_on_another_day_is_another_event() -> None:
    run = run_from(Cursor(T, frozenset({"a"})), T + 100_000 * SECOND)
    assert ids([Seen("a", T), Seen("a", T + 86_400 * SECOND)], run) == ["a"]


def test_an_event_that_stands_twice_on_a_page_is_published_once() -> None:
    run = run_from(Cursor(T), T + SECOND)
    assert ids([Seen("a", T + 1), Seen("a", T + 1)], run) == ["a"]


def test_a_clean_run_moves_the_begin_one_second_past_an_old_last_event() -> None:
    run = cursors.turn(run_from(Cursor(T), T + 60 * SECOND), [Seen("a", T + SECOND)], 1)
    assert cursors.settle(run, T + 60 * SECOND) == Cursor(T + 2 * SECOND)


def test_a_clean_run_never_moves_past_its_end() -> None:
    run = cursors.turn(run_from(Cursor(T), T + 60 * SECOND), [Seen("a", T + 60 * SECOND - 5)], 1)
    assert cursors.settle(run, T + 120 * SECOND).begin == T + 60 * SECOND


def test_a_clean_run_with_a_fresh_last_event_keeps_its_cursor() -> None:
    run = cursors.turn(run_from(Cursor(T), T + 60 * SECOND), [Seen("a", T + SECOND)], 1)
    assert cursors.settle(run, T + 3 * SECOND) == Cursor(T + SECOND, frozenset({"a"}))


def test_an_empty_run_keeps_its_cursor() -> None:
    cursor = Cursor(T, frozenset({"a"}))
    assert cursors.settle(run_from(cursor, T + 60 * SECOND), T + 120 * SECOND) == cursor


def test_the_begin_stays_where_an_inclusive_end_served_its_very_instant() -> None:
    run = cursors.turn(run_from(Cursor(T), T + SECOND), [Seen("a", T + SECOND + 400)], 1)
    settled = cursors.settle(run, T + 60 * SECOND)
    assert settled == Cursor(T + SECOND + 400, frozenset({"a"}))


def test_the_bound_is_soft_until_the_cursor_has_passed_the_begin() -> None:
    run = run_from(Cursor(T, frozenset({"x"})), T + 10 * SECOND)
    same_instant = cursors.turn(run, [Seen(f"{n}", T) for n in range(300)], 300)
    assert not cursors.is_cut(same_instant, 100)
    passed = cursors.turn(same_instant, [Seen("next", T + 1_000)], 1)
    assert cursors.is_cut(passed, 100)


def test_the_boundary_grows_over_the_pages_of_one_instant() -> None:
    run = run_from(Cursor(T), T + 10 * SECOND)
    run = cursors.turn(run, [Seen("a", T + 5), Seen("b", T + 5)], 2)
    run = cursors.turn(run, [Seen("c", T + 5)], 1)
    assert run.cursor.boundary == frozenset({"a", "b", "c"})


def test_an_id_used_again_in_a_long_run_is_another_event() -> None:
    """The boundary's ids are known about the begin only, however far the run has come since."""
    run = run_from(Cursor(T, frozenset({"a"})), T + 200_000 * SECOND)
    run = cursors.turn(run, [Seen("b", T + 86_400 * SECOND - 1)], 1)
    assert ids([Seen("a", T + 86_400 * SECOND), Seen("b", T + 86_400 * SECOND - 1)], run) == ["a"]


def test_the_same_id_half_a_second_later_is_another_event() -> None:
    run = run_from(Cursor(T, frozenset({"a"})), T + 60 * SECOND)
    assert ids([Seen("a", T), Seen("a", T + SECOND // 2)], run) == ["a"]
