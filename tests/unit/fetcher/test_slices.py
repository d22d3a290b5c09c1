"""How a range is cut, what belongs to a slice, and who gives half of it away."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from services.fetcher.core.cursor import MILLISECOND, SECOND, Cursor, Seen
from services.fetcher.core.slices import Density, Slice, cut_range, halved, richest

T = 1_787_220_000 * SECOND
HOUR = 3_600 * SECOND


@pytest.mark.parametrize(
    ("length", "most", "count"),
    [(HOUR, 7, 7), (HOUR, 1, 1), (120 * SECOND, 7, 2), (119 * SECOND, 7, 1), (1, 7, 1), (7 * HOUR + 1, 64, 64)],
)
def test_a_range_is_cut_without_gap_or_overlap_and_a_short_one_is_not(length: int, most: int, count: int) -> None:
    """Inner edges are whole milliseconds; the outer ones are as ordered."""
    parts = cut_range(T + 7, T + 7 + length, most)
    assert len(parts) == count
    assert (parts[0].begin, parts[-1].end) == (T + 7, T + 7 + length)
    for one, other in pairwise(parts):
        assert one.end == other.begin
        assert one.end % MILLISECOND == 0
    assert all(part.begin < part.end and part.cursor == Cursor(part.begin) for part in parts)


@pytest.mark.parametrize(
    ("at", "belongs"),
    [
        (T + 300, True),
        (T + 299, False),
        (T, False),
        (T - 1, True),  # not asked for, and served all the same: nobody else's
        (T + SECOND + 699, True),
        (T + SECOND + 700, False),
        (T + SECOND + MILLISECOND, False),
        (T + 9 * SECOND, True),
        (None, True),
    ],
)
def test_what_belongs_to_a_slice_is_judged_to_the_microsecond(at: int | None, belongs: bool) -> None:
    """Mailgun knows milliseconds only, and may take its end inclusive."""
    part = Slice(T + 300, T + SECOND + 700, Cursor(T + 300))
    assert part.sent_end == T + SECOND + MILLISECOND
    assert part.holds(Seen("e", at), part.sent_end) is belongs


def test_what_was_asked_before_the_slice_was_halved_belongs_to_the_other_half() -> None:
    """The old request goes up to the old end."""
    part = Slice(T, T + HOUR, Cursor(T))
    first, second = halved(part)
    assert first.end == second.begin == T + HOUR // 2
    item = Seen("e", T + HOUR // 2 + 5)
    assert not first.holds(item, part.sent_end)
    assert second.holds(item, part.sent_end)


def test_a_slice_that_is_under_way_gives_away_half_of_what_is_left() -> None:
    """Its beginning, which names it, stays."""
    part = Slice(T, T + 100 * SECOND, Cursor(T + 60 * SECOND, frozenset({"e"})))
    first, second = halved(part)
    assert first == msgspec.structs.replace(part, end=T + 80 * SECOND)
    assert second == Slice(T + 80 * SECOND, T + 100 * SECOND, Cursor(T + 80 * SECOND))


def test_the_slice_with_the_most_left_to_read_is_halved() -> None:
    """Time alone does not tell: a short one may hold more. Of one that was not asked yet nothing is known."""
    long, dense = Slice(T, T + HOUR, Cursor(T)), Slice(T + HOUR, T + HOUR + 60 * SECOND, Cursor(T + HOUR))
    unknown = Slice(T + 2 * HOUR, T + 9 * HOUR, Cursor(T + 2 * HOUR))
    densities = {long.begin: Density(1 / (10 * 60 * SECOND)), dense.begin: Density(1 / SECOND)}
    assert richest((long, dense, unknown), densities) == dense
    assert richest((long, unknown), densities) == long
    assert richest((unknown,), densities) is None


def test_little_is_not_halved() -> None:
    """Neither less than two seconds nor less than three pages."""
    part = Slice(T, T + 2 * SECOND - 1, Cursor(T))
    assert richest((part,), {T: Density(1.0)}) is None
    assert richest((Slice(T, T + HOUR, Cursor(T)),), {T: Density(2.9 / HOUR)}) is None


def test_a_page_tells_how_dense_the_events_are() -> None:
    """One that is not full is the last one, most likely."""
    page = [Seen(f"e{number}", T + number * SECOND) for number in range(11)]
    assert Density.of(page, 11).pages == pytest.approx(1 / (10 * SECOND))
    assert Density.of(page, 12).pages == 0.0
    assert Density.of([Seen("e", None)], 1).pages == 0.0
    assert Density.of([Seen("e", T), Seen("f", T)], 2).pages == 1.0
