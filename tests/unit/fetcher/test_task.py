"""A loop being run: how answers, failures and bounds move it."""

from __future__ import annotations

import pytest

from services.contracts.reasons import Loop
from services.fetcher.core.cursor import SECOND, Cursor
from services.fetcher.core.loop import LoopState
from services.fetcher.core.page import Item, Page
from services.fetcher.ports import PageRequest, Refused, Throttled, Unavailable, Unreadable
from services.fetcher.task import REFUSED_SECONDS, LoopTask, Turned

T = 1_787_220_000 * SECOND
NEXT = "https://api.mailgun.net/v3/mg.example.com/events/abc"


def task(loop: Loop = Loop.LATEST, max_events: int = 1000) -> LoopTask:
    return LoopTask(
        LoopState("mg.example.com", loop, Cursor(T)), interval=5.0, random=lambda: 1.0, max_events=max_events
    )


def begun(loop: LoopTask, end: int = T + 60 * SECOND) -> PageRequest:
    request = loop.begin(end, now=end + SECOND, monotonic=10.0)
    assert request is not None
    return request


def page(*offsets: int) -> Page:
    items = [Item(f"e{offset}", T + offset, b"|", b"{}", "delivered") for offset in offsets]
    return Page(items, NEXT)


def turn(loop: LoopTask, answer: Page) -> Turned:
    turned = loop.turn(answer, T + 120 * SECOND, lambda item: item.event_id == "e7")
    loop.ahead(turned)
    loop.published(turned, monotonic=20.0)
    return turned


def test_a_request_has_whole_milliseconds_and_the_loops_types() -> None:
    request = begun(task(Loop.LATEST_OPENED))
    assert (request.begin_ms, request.end_ms) == (T // 1000, T // 1000 + 60_000)
    assert list(request.event_types) == ["opened", "clicked"]
    assert begun(task(Loop.MISSING)).event_types == ()


def test_the_next_page_is_asked_for_before_this_one_is_published() -> None:
    loop = task()
    begun(loop)
    first = loop.ticket
    turned = loop.turn(page(1, 2), T + 120 * SECOND, lambda _: False)
    following = loop.ahead(turned)
    assert following is not None
    assert following.url == NEXT
    assert loop.ticket != first
    assert loop.state.cursor == Cursor(T), "nothing counts before it is published"
    loop.published(turned, 20.0)
    assert loop.state.cursor.begin == T + 2


def test_an_empty_page_ends_the_run_and_all_up_to_its_end_is_fetched() -> None:
    loop = task()
    begun(loop)
    turn(loop, page(1, 2))
    ended = turn(loop, Page([], None))
    assert ended.result == "complete"
    assert loop.state.fetched_through == T + 60 * SECOND
    assert loop.state.status == "idle"
    assert loop.state.cursor.begin == T + 2 + SECOND
    assert not loop.is_due(24.9)
    assert loop.is_due(25.0)


def test_an_empty_run_moves_what_is_fetched_but_not_the_cursor() -> None:
    loop = task()
    begun(loop)
    assert turn(loop, Page([], None)).result == "empty"
    assert loop.state.cursor == Cursor(T)
    assert loop.state.fetched_through == T + 60 * SECOND


def test_a_run_that_has_published_enough_is_cut_and_goes_on_at_once() -> None:
    loop = task(max_events=2)
    begun(loop)
    assert turn(loop, page(1_000, 2_000, 3_000)).result == "capped"
    assert loop.state.fetched_through == T + 3_000
    assert loop.is_due(20.0)
    assert begun(loop).begin_ms == T // 1000 + 3


@pytest.mark.parametrize("which", [Loop.MISSING, Loop.LATEST])
def test_every_loop_leaves_out_what_this_process_has_published(which: Loop) -> None:
    """A late event is shown to whichever loop asks first."""
    loop = task(which)
    begun(loop)
    turned = turn(loop, page(5, 7, 9))
    assert [item.event_id for item in turned.items] == ["e5", "e9"]
    assert turned.known == 1
    assert loop.state.cursor.begin == T + 9


def test_a_loop_that_was_lost_and_taken_again_takes_no_answer_of_its_first_time() -> None:
    """The old request may have asked for less: its empty page says nothing about the new run's range."""
    before, after = task(), task()
    begun(before)
    begun(after)
    assert before.ticket != after.ticket


def test_a_failure_keeps_the_cursor_and_says_why() -> None:
    loop = task()
    begun(loop)
    turn(loop, page(1, 2))
    pause = loop.failed(Unavailable("Mailgun answers 503"), monotonic=20.0)
    assert pause == 1.0
    assert loop.state.cursor.begin == T + 2
    assert (loop.state.status, loop.state.last_error) == ("backing_off", "Mailgun answers 503")
    assert loop.ticket is None
    assert loop.is_due(21.0)


def test_pauses_grow_to_a_minute_and_start_again_after_a_success() -> None:
    loop = task()
    pauses = [loop.failed(Unavailable("away"), 0.0) for _ in range(9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    begun(loop)
    turn(loop, page(1))
    assert loop.failed(Unavailable("away"), 0.0) == 1.0


def test_a_refusal_fails_the_domain_for_five_minutes() -> None:
    loop = task()
    assert loop.failed(Refused("Mailgun answers 401"), 0.0) == REFUSED_SECONDS == 300.0
    assert loop.state.status == "failed"


def test_what_stays_unreadable_fails_after_three_tries_and_is_still_tried() -> None:
    loop = task()
    states = []
    for _ in range(3):
        loop.failed(Unreadable("not JSON"), 0.0)
        states.append(loop.state.status)
    assert states == ["backing_off", "backing_off", "failed"]
    assert loop.is_due(4.0)


def test_what_we_are_told_to_wait_is_waited() -> None:
    assert task().failed(Throttled("429", retry_after=40.0), 0.0) == 40.0


def test_nothing_is_asked_while_begin_is_not_before_end() -> None:
    loop = task()
    assert loop.begin(T, T + SECOND, 10.0) is None
    assert not loop.is_due(14.0)
