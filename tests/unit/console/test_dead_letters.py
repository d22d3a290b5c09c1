"""Which part of the dead letters a page is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.core.dead_letters import (
    DeadLettersPage,
    DeadLetterView,
    Letter,
    Place,
    Stretch,
    filters_of,
    merged,
    positions,
    shown,
    view,
    whole,
)
from services.console.core.requests import BadRequest

A: Place = ("email.events.dlq", 0)
B: Place = ("mailgun.events.dlq", 0)


def letter(place: Place, offset: int, timestamp_ms: int = 0, value: bytes | None = b"x", **headers: bytes) -> Letter:
    """A letter of a partition."""
    named = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Letter(*place, offset, timestamp_ms, None, value, named, "mailgun.events.raw")


def views(place: Place, times: Mapping[int, int]) -> list[DeadLetterView]:
    """Letters by offset, with their times; newest first."""
    return [view(letter(place, offset, times[offset]), None) for offset in sorted(times, reverse=True)]


def offsets(page: DeadLettersPage) -> list[tuple[str, int]]:
    """What a page shows."""
    return [(each.topic, each.offset) for each in page.records]


def test_the_newest_of_all_partitions_and_where_each_goes_on() -> None:
    page = merged(
        [
            Stretch(A, views(A, {5: 10, 9: 30}), 5, is_whole=False),
            Stretch(B, views(B, {2: 20, 3: 40}), 0, is_whole=True),
        ],
        3,
    )
    assert offsets(page) == [(B[0], 3), (A[0], 9), (B[0], 2)]
    assert positions(page.next) == {A: 6}


def test_a_partition_that_was_not_looked_through_holds_up_what_may_be_older() -> None:
    """There may be newer ones in it: the next page tells."""
    page = merged([Stretch(A, [], 500, is_whole=False), Stretch(B, views(B, {2: 20}), 0, is_whole=True)], 10)
    assert offsets(page) == []
    assert positions(page.next) == {A: 500, B: 3}


def test_the_last_page_has_no_next() -> None:
    assert merged([Stretch(A, views(A, {5: 10}), 0, is_whole=True)], 1).next is None
    assert merged([], 1) == DeadLettersPage([], None)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 50), max_size=20), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_pages_together_hold_every_letter_once(times: list[list[int]], limit: int, looks: int) -> None:
    """Whatever their times are, and however few offsets a page looks at."""
    partitions = {("mailgun.events.dlq", number): each for number, each in enumerate(times)}
    found: list[tuple[str, int, int]] = []
    at = {place: len(each) for place, each in partitions.items()}
    for _ in range(1_000):
        page = merged([_stretch(place, partitions[place], end, limit, looks) for place, end in at.items()], limit)
        assert len(page.records) <= limit
        found += [(each.topic, each.partition, each.offset) for each in page.records]
        before = positions(page.next)
        if before is None:
            break
        at = {place: before.get(place, 0) for place in at}
    wanted = [(*place, offset) for place, each in partitions.items() for offset in range(len(each))]
    assert sorted(found) == sorted(wanted)


def _stretch(place: Place, times: Sequence[int], end: int, limit: int, looks: int) -> Stretch:
    begin = max(0, end - min(limit, looks))
    return Stretch(place, views(place, {at: times[at] for at in range(begin, end)}), begin, is_whole=begin == 0)


@pytest.mark.parametrize(
    ("data", "most", "text"),
    [
        (None, None, None),
        (b"", 4, ""),
        ("äöü".encode(), None, "äöü"),
        ("äöü".encode(), 3, "ä"),
        (b"abc\xff", None, "base64:YWJj/w=="),
        (b"abc\xff", 3, "base64:YWJj"),
    ],
)
def test_bytes_are_shown_as_text_or_base64(data: bytes | None, most: int | None, text: str | None) -> None:
    assert shown(data, most) == text


def test_a_cut_letter_says_how_large_it_was() -> None:
    assert view(letter(A, 0, value=b"x", size=b"100"), None).size == 100
    assert view(letter(A, 0, value=b"x", size=b"1"), None).size is None
    assert view(letter(A, 0, value=b"x", size=b"lots"), None).size is None


def test_the_whole_letter_has_all_its_headers() -> None:
    found = whole(letter(A, 3, 1, b"x", reason=b"database", odd=b"\xff"), b"{}", 1_000)
    assert list(found.headers) == [("reason", "database"), ("odd", "base64:/w==")]
    assert (found.key, found.decoded, found.replayed_at) == (None, "{}", "1970-01-01T00:00:00.001Z")
    assert found.timestamp == "1970-01-01T00:00:00.001Z"


def test_filters_take_what_they_name() -> None:
    assert filters_of("database", None, "storage").take(letter(A, 0, reason=b"database", stage=b"storage"))
    assert not filters_of("database", None, "storage").take(letter(A, 0, reason=b"database"))
    assert not filters_of("database", None, None).take(letter(A, 0))
    with pytest.raises(BadRequest, match="reason: give one of not_avro, "):
        filters_of("DATABASE", None, None)
