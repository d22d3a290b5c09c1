"""The statistics of `mailriver bench`: medians, ratios within a run, aims, rates."""

from __future__ import annotations

import pytest

from services.sandbox.bench.figures import Aim, Figure, Progress, Ratio, Sample, Spread, percentile, rows_of

RATE = Figure("rate", "events/s", (Aim(100, at_least=True), Aim(2.0, at_least=False, of_ratio=True)), floor="bare")
TIME = Figure("time", "s", (Aim(2.0, at_least=False),))
FASTER = Figure("faster", "events/s", (Aim(6.0, at_least=True, of_ratio=True),), Ratio.SPEED_UP)


@pytest.mark.parametrize(
    ("figure", "value", "floor", "ratio"),
    [(RATE, 50.0, 150.0, 3.0), (TIME, 3.0, 2.0, 1.5), (FASTER, 600.0, 100.0, 6.0), (TIME, 3.0, None, None)],
)
def test_a_ratio_says_how_much_more_an_event_costs_or_how_much_faster_it_goes(
    figure: Figure, value: float, floor: float | None, ratio: float | None
) -> None:
    """Of rates the floor is above, of times below; a speed-up is the other way round."""
    assert Sample(figure, value, floor).ratio == ratio


def test_runs_become_medians_with_their_least_and_most() -> None:
    """Each figure in the order in which it first came, whatever the order of the runs."""
    samples = [Sample(RATE, 50, 100), Sample(TIME, 1), Sample(RATE, 200, 300), Sample(TIME, 5), Sample(RATE, 90, 90)]
    rate, time = rows_of(samples)
    assert rate.value == Spread(90, 50, 200)
    assert rate.floor == Spread(100, 90, 300)
    assert time.figure is TIME
    assert time.value == Spread(3, 1, 5)
    assert (time.floor, time.ratio) == (None, None)


def test_the_ratio_is_the_median_of_the_ratios_and_not_of_the_medians() -> None:
    """A run on a busy machine is slow in both, and its ratio is as good as any."""
    (row,) = rows_of([Sample(RATE, 100, 200), Sample(RATE, 10, 25), Sample(RATE, 50, 150)])
    assert row.ratio == Spread(2.5, 2.0, 3.0)


def test_aims_are_met_by_medians() -> None:
    """Each for itself, of the figure or of the ratio; an aim for a ratio that there is not is passed over."""
    (row,) = rows_of([Sample(RATE, 120, 360), Sample(RATE, 90, 270), Sample(RATE, 110, 330)])
    assert [met for _, met in row.verdicts()] == [True, False]
    (bare,) = rows_of([Sample(RATE, 99)])
    assert bare.verdicts() == [(RATE.aims[0], False)]


def test_a_rate_leaves_the_first_step_out() -> None:
    """It holds the start; what counts is how it goes on."""
    progress = Progress(began=10.0)
    for at, count in ((15.0, 0), (20.0, 100), (20.5, 100), (21.0, 300), (22.0, 500)):
        progress.reached(at, count)
    assert progress.per_second == 200


def test_a_rate_of_one_step_counts_from_the_beginning() -> None:
    """There is nothing else to go by."""
    progress = Progress(began=10.0)
    progress.reached(12.0, 100)
    assert progress.per_second == 50


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    """By the nearest rank."""
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value
    assert percentile([7.0], percent) == 7.0
