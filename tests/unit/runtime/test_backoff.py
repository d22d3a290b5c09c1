"""Pauses grow, are bounded, and start again after a success."""

from __future__ import annotations

from random import Random

import pytest

from services.runtime.backoff import Backoff


def backoff(random: float) -> Backoff:
    return Backoff(first=0.5, most=30.0, random=lambda: random)


@pytest.mark.parametrize(("random", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_pauses_double_up_to_the_most_with_jitter_below(random: float, share: float) -> None:
    """Between half and the whole of each step."""
    pauses = backoff(random)
    assert [pauses.failed() for _ in range(8)] == [share * step for step in (0.5, 1, 2, 4, 8, 16, 30, 30)]


def test_what_we_are_told_is_the_least() -> None:
    """A longer wait that was asked for is kept, a shorter one does not shorten ours."""
    pauses = backoff(1.0)
    assert pauses.failed(told=60.0) == 60.0
    assert pauses.failed(told=0.1) == 1.0


def test_after_a_success_it_starts_again() -> None:
    """And counts anew."""
    pauses = backoff(1.0)
    pauses.failed()
    pauses.failed()
    assert pauses.failures == 2
    pauses.succeeded()
    assert pauses.failures == 0
    assert pauses.failed() == 0.5


def test_failing_for_days_is_no_overflow() -> None:
    """A broker may be away for long."""
    pauses = Backoff(first=0.5, most=30.0, random=Random(1).random)
    assert all(0.25 <= pauses.failed() <= 30.0 for _ in range(100_000))
