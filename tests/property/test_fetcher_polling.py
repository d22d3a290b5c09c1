"""The promises of polling, against a model of Mailgun: nothing lost, nothing again, the cursor only forward."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fetcher.core import cursor as cursors
from services.fetcher.core.cursor import MILLISECOND, SECOND, Cursor
from tests.support.mailgun_model import ModelEvent, pages

T = 1_787_220_000 * SECOND
SPAN = 20 * SECOND


def events(late: int) -> st.SearchStrategy[list[ModelEvent]]:
    instants = st.one_of(
        st.integers(0, SPAN),
        st.sampled_from([5 * SECOND, 5 * SECOND + 300, 5 * SECOND + MILLISECOND]),  # equal times and milliseconds
    )
    return st.lists(st.tuples(instants, st.integers(0, late)), max_size=40).map(
        lambda drawn: [
            ModelEvent(f"e{number * 7919 % 97}-{number}", T + at, T + at + delay)
            for number, (at, delay) in enumerate(drawn)
        ]
    )


class Poller:
    """A loop as the fetcher runs it, over the model: every page is published and the cursor kept."""

    def __init__(self, shown: list[ModelEvent], *, size: int, max_events: int, end_inclusive: bool) -> None:
        self.events, self.size, self.max_events, self.end_inclusive = shown, size, max_events, end_inclusive
        self.cursor = Cursor(T - SECOND)
        self.published: Counter[str] = Counter()

    def run(self, now: int, margin: int, *, crash_after: int | None = None) -> str:
        run = cursors.begin_run(self.cursor, now - margin)
        if run is None:
            return "nothing to ask"
        served = pages(
            self.events,
            run.start.sent_begin,
            run.end,
            times=[now],
            size=self.size,
            end_inclusive=self.end_inclusive,
        )
        for number, page in enumerate(served):
            if crash_after == number:
                return "crashed"
            if not page:
                self._advance(cursors.settle(run, now))
                return "complete"
            fresh = cursors.fresh(run, page)
            run = cursors.turn(run, page, len(fresh))
            self.published.update(page[at].event_id for at in fresh)
            self._advance(run.cursor)
            self._has_passed_nothing(now)
            if cursors.is_cut(run, self.max_events):
                return "capped"
        raise AssertionError("the model ended without an empty page")

    def _advance(self, cursor: Cursor) -> None:
        assert cursor.begin >= self.cursor.begin, "the cursor went back"
        self.cursor = cursor

    def _has_passed_nothing(self, now: int) -> None:
        passed = {
            event.event_id
            for event in self.events
            if event.visible_at <= now and cursors.cut(event.occurred_at) < self.cursor.sent_begin
        }
        assert passed <= set(self.published), f"passed and not published: {passed - set(self.published)}"


@given(
    shown=events(late=0),
    size=st.integers(1, 7),
    max_events=st.integers(1, 12),
    end_inclusive=st.booleans(),
    steps=st.lists(st.tuples(st.integers(0, 4 * SECOND), st.none() | st.integers(0, 3)), max_size=12),
)
def test_every_event_that_is_visible_in_time_is_published_once(
    shown: list[ModelEvent],
    size: int,
    max_events: int,
    end_inclusive: bool,
    steps: list[tuple[int, int | None]],
) -> None:
    """Whatever the page size, the bound, the crashes between pages: each event once, as only kept pages count."""
    poller = Poller(shown, size=size, max_events=max_events, end_inclusive=end_inclusive)
    now = T
    for pause, crash_after in steps:
        now += pause
        poller.run(now, margin=SECOND // 2, crash_after=crash_after)
    now = T + SPAN + 60 * SECOND
    for _ in range(4 + 2 * len(shown)):
        poller.run(now, margin=SECOND // 2)
    assert poller.published == Counter(event.event_id for event in shown)
    before = sum(poller.published.values())
    assert poller.run(now + 10 * SECOND, margin=SECOND // 2) == "complete"
    assert sum(poller.published.values()) == before, "published again with no new event"


@settings(max_examples=50)
@given(
    shown=events(late=3 * SECOND),
    size=st.integers(1, 7),
    pauses=st.lists(st.integers(1, 3 * SECOND), min_size=1, max_size=20),
)
def test_what_mailgun_shows_within_the_trust_age_is_published_by_the_two_loops(
    shown: list[ModelEvent], size: int, pauses: list[int]
) -> None:
    """The latest loop may miss what is late; the missing loop, which trails by the trust age, does not."""
    latest = Poller(shown, size=size, max_events=10, end_inclusive=False)
    missing = Poller(shown, size=size, max_events=10, end_inclusive=False)
    now = T
    for pause in pauses:
        now += pause
        latest.run(now, margin=SECOND // 2)
        missing.run(now, margin=3 * SECOND)
    for _ in range(4 + 2 * len(shown)):
        missing.run(T + SPAN + 60 * SECOND, margin=3 * SECOND)
    assert set(missing.published) == {event.event_id for event in shown}
