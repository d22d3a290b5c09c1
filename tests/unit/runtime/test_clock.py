"""Budgets of seconds, and waits that end early."""

from __future__ import annotations

from threading import Event

from services.runtime.clock import Deadline, SystemClock, micros, rest
from tests.support.clock import HeldClock


def test_a_deadline_is_spent_by_time_and_never_negative() -> None:
    """Each call that waits takes from the same budget."""
    clock = HeldClock()
    deadline = Deadline(clock, 10.0)
    assert deadline.remaining() == 10.0
    clock.move(4.0)
    assert deadline.remaining() == 6.0
    assert not deadline.passed
    clock.move(7.0)
    assert deadline.remaining() == 0.0
    assert deadline.passed


def test_a_deadline_does_not_care_for_the_wall_clock() -> None:
    """Somebody may set it."""
    clock = HeldClock()
    deadline = Deadline(clock, 10.0)
    clock.set_wall(0.0)
    assert deadline.remaining() == 10.0


def test_micros_are_whole() -> None:
    """Of the wall clock."""
    assert micros(HeldClock(now=1.5)) == 1_500_000


def test_the_systems_clock_goes_on() -> None:
    """Both of its hands."""
    clock = SystemClock()
    now, monotonic = clock.now(), clock.monotonic()
    assert now > 1_700_000_000
    assert clock.monotonic() >= monotonic


def test_a_rest_ends_when_it_is_told_to_stop() -> None:
    """And says whether it was."""
    stop = Event()
    assert not rest(stop, 0.0)
    stop.set()
    assert rest(stop, 600.0)
