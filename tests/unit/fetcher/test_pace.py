"""How fast the account is asked, and whose turn it is."""

from __future__ import annotations

import pytest

from services.fetcher.core.pace import Pace, Turns, told_to_wait

NOW = 1_787_220_000.0


def test_requests_are_spread_evenly() -> None:
    pace = Pace(5)
    pace.left(100.0)
    assert pace.wait(100.0) == pytest.approx(0.2)
    assert pace.wait(100.2) == pytest.approx(0.0)


def test_idle_time_is_no_credit() -> None:
    pace = Pace(5)
    pace.left(100.0)
    pace.left(200.0)
    assert pace.wait(200.0) == pytest.approx(0.2)


def test_zero_is_no_bound() -> None:
    pace = Pace(0)
    pace.left(100.0)
    assert pace.wait(100.0) == 0.0


def test_a_cooldown_holds_everything_for_an_hour_at_most() -> None:
    pace = Pace(0)
    pace.cool(100.0, 30.0)
    pace.cool(100.0, 10.0)
    assert pace.wait(100.0) == pytest.approx(30.0)
    pace.cool(100.0, 1e9)
    assert pace.wait(100.0) == pytest.approx(3600.0)


def test_urgent_requests_go_first_and_one_of_ten_is_another() -> None:
    turns = Turns()
    chosen = [turns.choose([False, True]) for _ in range(30)]
    assert chosen.count(0) == 3
    assert chosen[:9] == [1] * 9


def test_without_urgent_ones_the_first_to_come_goes_first() -> None:
    assert Turns().choose([False, False]) == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "10"}, 10.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "Thu, 20 Aug 2026 10:00:30 GMT"}, 30.0),
        ({"x-ratelimit-reset": "1787220020"}, 20.0),
        ({"x-ratelimit-reset": "1787220020000"}, 20.0),
        ({"x-ratelimit-reset": "x"}, None),
        ({"x-ratelimit-reset": "1787220020", "retry-after": "40"}, 40.0),
        ({"x-ratelimit-reset": "1787220050", "retry-after": "40"}, 50.0),
        ({"retry-after": "999999"}, 3600.0),
    ],
)
def test_the_later_hint_counts_in_whichever_unit(headers: dict[str, str], seconds: float | None) -> None:
    assert told_to_wait(headers, NOW) == (None if seconds is None else pytest.approx(seconds))
