"""The promises of scheduled fetches in slices, against a model of Mailgun."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from services.fetcher.core import schedule as schedules
from services.fetcher.core.cursor import MILLISECOND, SECOND
from services.fetcher.core.schedule import Schedule
from tests.support.mailgun_model import ModelEvent
from tests.support.schedule_model import ModelMailgun, Runner

T = 1_787_220_000 * SECOND
SPAN = 600 * SECOND
NOW = T + SPAN + SECOND

instants = st.one_of(
    st.integers(-SECOND, SPAN + SECOND),
    st.integers(0, 5 * SECOND),  # most of them early: the slices are not alike
    st.sampled_from([100 * SECOND, 100 * SECOND + 300, 100 * SECOND + MILLISECOND, 0, SPAN, SPAN - 1, -1]),
)
event_lists = st.lists(instants, max_size=60).map(
    lambda drawn: [ModelEvent(f"e{number * 7919 % 97}-{number}", T + at, T + at) for number, at in enumerate(drawn)]
)
edges = st.integers(0, SPAN) | st.sampled_from([0, 300, 100 * SECOND, 100 * SECOND + 300, SPAN])
ranges = st.tuples(edges, edges).map(sorted).filter(lambda pair: pair[0] < pair[1])


def schedule(name: str, begin: int, end: int) -> Schedule:
    return Schedule(domain="mg.example.com", schedule_id=name, begin=T + begin, end=T + end, kept_at=NOW)


def inside(shown: list[ModelEvent], begin: int, end: int) -> set[str]:
    return {event.event_id for event in shown if T + begin <= event.occurred_at < T + end}


def run(runner: Runner, *, steps: int = 2_000) -> None:
    for _ in range(steps):
        if runner.is_over:
            return
        runner.step(NOW)
    pytest.fail("the schedule does not come to its end")


@given(
    shown=event_lists,
    wanted=ranges,
    size=st.integers(1, 7),
    slices=st.integers(1, 8),
    end_inclusive=st.booleans(),
    seed=st.integers(0, 1_000),
)
def test_every_event_of_the_range_is_published_once_and_none_outside(
    shown: list[ModelEvent], wanted: tuple[int, int], size: int, slices: int, end_inclusive: bool, seed: int
) -> None:
    """Whatever the slices, the pages and the order of the answers; begin and end may lie inside a millisecond."""
    mailgun = ModelMailgun(shown, size=size, end_inclusive=end_inclusive)
    runner = Runner(mailgun, [schedule("s", *wanted)], slices=slices, random=Random(seed))
    run(runner)
    assert runner.published == Counter(inside(shown, *wanted))
    assert runner.most_slices <= slices
    (state,) = runner.topic.values()
    assert (state.state, state.fetched_through, state.slices) == ("done", T + wanted[1], [])
    assert state.events_total == len(inside(shown, *wanted))


@settings(max_examples=150)
@given(
    shown=event_lists,
    wanted=ranges,
    size=st.integers(1, 5),
    slices=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    happenings=st.lists(st.sampled_from(["step", "step", "step", "crash", "failed transaction"]), max_size=40),
    seed=st.integers(0, 1_000),
)
def test_a_crash_or_a_failed_transaction_at_any_step_loses_and_doubles_nothing(
    shown: list[ModelEvent],
    wanted: tuple[int, int],
    size: int,
    slices: list[int],
    happenings: list[str],
    seed: int,
) -> None:
    """What is committed counts, and nothing else; after a restart there may be more slices than are read at once."""
    random = Random(seed)
    mailgun = ModelMailgun(shown, size=size, end_inclusive=random.random() < 0.5)
    runner = Runner(mailgun, [schedule("s", *wanted)], slices=slices[0], random=random)
    for happening in happenings:
        if happening == "crash":
            runner.bounds = runner.bounds.__class__(random.choice(slices), size, runner.bounds.retention)
            runner.start()
        else:
            runner.step(NOW, fails=happening == "failed transaction")
    run(runner)
    assert runner.published == Counter(inside(shown, *wanted))


@settings(max_examples=150)
@given(
    shown=event_lists,
    first=ranges,
    second=ranges,
    size=st.integers(1, 5),
    slices=st.integers(1, 8),
    after=st.integers(0, 10),
    seed=st.integers(0, 1_000),
)
def test_a_cancel_at_any_step_ends_it_at_once_and_the_next_one_runs(
    shown: list[ModelEvent],
    first: tuple[int, int],
    second: tuple[int, int],
    size: int,
    slices: int,
    after: int,
    seed: int,
) -> None:
    """No page of the canceled one is published any more, and nothing of the other is missing."""
    mailgun = ModelMailgun(shown, size=size, end_inclusive=False)
    orders = [schedule("a", *first), schedule("b", *second)]
    runner = Runner(mailgun, orders, slices=slices, random=Random(seed))
    for _ in range(after):
        runner.step(NOW)
    known = runner.backlog.get(orders[0].key)
    assert known is not None
    if not known.is_ended:
        before = runner.published.total()
        runner.put(schedules.canceled(known, NOW), NOW)
        runner.step(NOW)
        started_b = runner.topic[orders[1].key].events_total
        assert runner.published.total() == before + started_b
    run(runner)
    assert inside(shown, *second) <= set(runner.published)
    assert {state.state for state in runner.topic.values()} <= {"done", "canceled"}
    assert set(runner.published.values()) <= {1, 2}, "each schedule publishes an event once"


@settings(max_examples=100)
@given(
    shown=st.lists(st.tuples(st.integers(0, SPAN), st.integers(0, 30 * SECOND)), max_size=40),
    size=st.integers(1, 5),
    slices=st.integers(1, 8),
    seed=st.integers(0, 1_000),
)
def test_what_is_visible_when_a_schedule_starts_is_published_whatever_shows_up_meanwhile(
    shown: list[tuple[int, int]], size: int, slices: int, seed: int
) -> None:
    """Late events are inserted into pages that were read already: they may be missed, the others are not."""
    events = [
        ModelEvent(f"e{number * 7919 % 97}-{number}", T + at, NOW + late - 10 * SECOND)
        for number, (at, late) in enumerate(shown)
    ]
    mailgun = ModelMailgun(events, size=size, end_inclusive=False)
    runner = Runner(mailgun, [schedule("s", 0, SPAN)], slices=slices, random=Random(seed))
    for number in range(2_000):
        if runner.is_over:
            break
        runner.step(NOW + number * SECOND)
    in_time = {event.event_id for event in events if event.visible_at <= NOW and event.occurred_at < T + SPAN}
    assert in_time <= set(runner.published)
    assert set(runner.published.values()) <= {1}


@pytest.mark.parametrize("where", ["even", "last tenth", "first tenth", "one second"])
def test_slices_are_balanced_wherever_the_events_are(where: str) -> None:
    """Eight at once need about an eighth of the rounds of one, also where most slices are empty."""
    count = 4_000
    width, at = {
        "even": (SPAN, 0), "last tenth": (SPAN // 10, SPAN * 9 // 10), "first tenth": (SPAN // 10, 0),
        "one second": (16 * SECOND, 300 * SECOND),
    }[where]  # fmt: skip
    events = [ModelEvent(f"e{number}", T + at + width * number // count, T) for number in range(count)]
    rounds = {}
    for slices in (1, 8):
        runner = Lockstep(ModelMailgun(events, size=20, end_inclusive=False), slices)
        rounds[slices] = runner.rounds()
        assert runner.published == Counter({event.event_id: 1 for event in events})
    assert rounds[1] > 6 * rounds[8], rounds


class Lockstep(Runner):
    """Every request takes the same time: all that are under way are answered together."""

    def __init__(self, mailgun: ModelMailgun, slices: int) -> None:
        super().__init__(mailgun, [schedule("s", 0, SPAN)], slices=slices, random=AllAtOnce())

    def rounds(self) -> int:
        """How many rounds it takes."""
        for number in range(100_000):
            if self.is_over:
                return number
            self.step(NOW)
        raise AssertionError("it does not end")


class AllAtOnce(Random):
    """The greatest of every choice."""

    @override
    def randint(self, a: int, b: int) -> int:
        return max(a, b)
