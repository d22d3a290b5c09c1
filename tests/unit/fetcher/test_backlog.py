"""Which scheduled fetch runs, and what becomes of the others."""

from __future__ import annotations

import msgspec
import pytest

from services.fetcher.backfill import ScheduleTask, SliceTask
from services.fetcher.backlog import Backlog
from services.fetcher.core import schedule as schedules
from services.fetcher.core.cursor import SECOND
from services.fetcher.core.page import Item, Page
from services.fetcher.core.schedule import KEPT, Schedule
from services.fetcher.core.slices import Bounds
from services.fetcher.ports import Refused, SourceError, Throttled, Unreadable
from services.fetcher.task import REFUSED_SECONDS

T = 1_787_220_000 * SECOND
NOW = T + 7_200 * SECOND
DOMAINS = ("mg.example.com", "mg.example.org")


def order(name: str, *, domain: str = DOMAINS[0], at: int = 0, hours: int = 1) -> Schedule:
    end = T + hours * 3_600 * SECOND
    return Schedule(domain=domain, schedule_id=name, begin=T, end=end, kept_at=T + at)


def backlog(*known: Schedule, slices: int = 2) -> Backlog:
    bounds = Bounds(slices, 3, 24 * 3_600 * SECOND)
    return Backlog(known, make_task=lambda state: ScheduleTask(state, bounds, random=lambda: 0.0))


def running(waiting: Backlog) -> list[str]:
    """The ids of the schedules that run."""
    return sorted({part.state.schedule_id for part in waiting.slice_tasks})


def read_out(waiting: Backlog) -> None:
    """Every slice comes to its empty page."""
    for part in waiting.slice_tasks:
        turned = part.turn(Page([], None), NOW, lambda _: False)
        part.ahead(turned)
        part.published(turned, 0.0)


def fail(part: SliceTask, error: SourceError) -> float:
    return part.failed(error, 100.0)


def test_one_of_each_domain_runs_the_oldest_first() -> None:
    """The next one starts when it is done."""
    waiting = backlog(order("young", at=5), order("old", at=1), order("other", domain=DOMAINS[1], at=9))
    asked = waiting.advance(DOMAINS, NOW, 0.0)
    assert running(waiting) == ["old", "other"]
    assert len(asked) == 4
    assert waiting.advance(DOMAINS, NOW, 0.0) == [], "what is under way is not asked twice"
    read_out(waiting)
    waiting.advance(DOMAINS, NOW, 0.0)
    assert running(waiting) == ["young"]
    assert {state.schedule_id for state in waiting.schedules} == {"young"}


def test_a_range_that_has_not_ended_waits_and_holds_up_nobody() -> None:
    """What has not happened cannot be fetched."""
    waiting = backlog(order("future", at=1, hours=3), order("past", at=2))
    waiting.advance(DOMAINS, NOW, 0.0)
    assert running(waiting) == ["past"]
    read_out(waiting)
    assert waiting.advance(DOMAINS, NOW, 0.0) == []
    waiting.advance(DOMAINS, T + 3 * 3_600 * SECOND, 0.0)
    assert running(waiting) == ["future"]


def test_a_refused_one_rests_and_the_next_is_tried_a_while_later() -> None:
    """A refusal of the whole domain must not be asked for a thousand times at once."""
    waiting = backlog(order("bad", at=1), order("good", at=2))
    waiting.advance(DOMAINS, NOW, 100.0)
    assert fail(waiting.slice_tasks[0], Refused("Mailgun answers 400")) == REFUSED_SECONDS
    assert waiting.advance(DOMAINS, NOW, 101.0) == []
    assert waiting.slice_tasks == []
    bad = waiting.get(order("bad").key)
    assert bad is not None
    assert (bad.status, bad.last_error, bad.is_ended) == ("failed", "Mailgun answers 400", False)
    waiting.advance(DOMAINS, NOW, 140.0)
    assert running(waiting) == ["good"]
    read_out(waiting)
    assert waiting.advance(DOMAINS, NOW, 150.0) == []
    waiting.advance(DOMAINS, NOW, 102.0 + REFUSED_SECONDS)
    assert running(waiting) == ["bad"]


@pytest.mark.parametrize(
    ("error", "times", "status"),
    [
        (Throttled("429", retry_after=7.0), 1, "running"),
        (Unreadable("html"), 2, "running"),
        (Unreadable("html"), 3, "failed"),
    ],
)
def test_a_slice_that_fails_waits_alone_and_is_asked_again(error: SourceError, times: int, status: str) -> None:
    """The state tells; the first good page forgets it."""
    waiting = backlog(order("s"))
    waiting.advance(DOMAINS, NOW, 0.0)
    part = waiting.slice_tasks[0]
    monotonic = 100.0
    for _ in range(times):
        monotonic += part.failed(error, monotonic) + 0.001
        assert part.state.last_error == str(error)
        asked = waiting.advance(DOMAINS, NOW, monotonic)
        assert len(asked) == 1
    assert part.state.status == status
    page = Page([Item("e", T + 5, b"|", b"{}", "delivered")], "next")
    turned = part.turn(page, NOW, lambda _: False)
    assert (part.state.status, part.state.last_error) == ("running", None)
    assert [item.event_id for item in turned.items] == ["e"]


def test_a_canceled_one_gives_its_requests_up() -> None:
    """And the next one starts."""
    waiting = backlog(order("a", at=1), order("b", at=2))
    tickets = {ticket for ticket, _ in waiting.advance(DOMAINS, NOW, 0.0)}
    state = waiting.get(order("a").key)
    assert state is not None
    assert waiting.put(schedules.canceled(state, NOW)) == tickets
    waiting.advance(DOMAINS, NOW, 0.0)
    assert running(waiting) == ["b"]


def test_what_is_abandoned_is_asked_again_from_what_kafka_has() -> None:
    """A page that was taken in and not published does not count."""
    waiting = backlog(order("s"))
    waiting.advance(DOMAINS, NOW, 0.0)
    part = waiting.slice_tasks[0]
    page = Page([Item("e", T + 5, b"|", b"{}", "delivered")], "next")
    part.ahead(part.turn(page, NOW, lambda _: False))
    assert part.state.events_total == 1
    assert len(part.abandon()) == 2
    asked = waiting.advance(DOMAINS, NOW, 0.0)
    assert [request.url for _, request in asked] == [None, None]
    assert waiting.slice_tasks[0].state.events_total == 0


def test_what_ended_long_ago_is_forgotten_and_its_order_too() -> None:
    """Until then the same order is not carried out again."""
    done = msgspec.structs.replace(order("done"), status="done")
    waiting = backlog(done, order("queued"))
    assert waiting.forgotten(T + KEPT) == []
    assert waiting.forgotten(T + KEPT + 1) == [done.key]
    waiting.forget([done.key])
    assert waiting.get(done.key) is None
