"""What may be replayed, and as what record."""

from __future__ import annotations

import pytest

from services.console.core.dead_letters import Letter
from services.console.core.replays import (
    OffsetChoice,
    Verdict,
    mark_key,
    marked_place,
    reaches,
    replay_headers,
    replay_request,
    verdict,
)

LETTER = Letter(
    *("mailgun.events.dlq", 1, 42, 0, b"k", b"value"),
    (("reason", b"unresolved"), ("attempt", b"3"), ("original-topic", b"p.raw"), ("original-offset", b"9")),
    "mailgun.events.raw",
)


def choices(*places: tuple[int, int]) -> list[OffsetChoice]:
    """Chosen dead letters."""
    return [OffsetChoice(*place) for place in places]


@pytest.mark.parametrize(
    ("is_marked", "force", "becomes"),
    [
        (False, False, Verdict.REPLAYED),
        (False, True, Verdict.REPLAYED),
        (True, False, Verdict.ALREADY),
        (True, True, Verdict.REPLAYED),
    ],
)
def test_marked_ones_are_left_out_unless_forced(*, is_marked: bool, force: bool, becomes: Verdict) -> None:
    assert verdict(LETTER, is_marked=is_marked, force=force) is becomes


@pytest.mark.parametrize("first", [None, "email.events", "mailgun.events.retry.1m", "orders"])
def test_a_letter_goes_nowhere_but_to_the_first_topic_of_its_topic(first: str | None) -> None:
    strange = Letter(*("mailgun.events.dlq", 1, 42, 0, b"k", b"value"), (), first)
    assert verdict(strange, is_marked=False, force=True) is Verdict.STRANGE


def test_a_cut_one_is_never_replayed() -> None:
    cut = Letter(*("mailgun.events.dlq", 1, 42, 0, b"k", b"value"), (("size", b"6"),), "mailgun.events.raw")
    assert verdict(cut, is_marked=True, force=True) is Verdict.TRUNCATED


def test_a_replayed_record_keeps_its_origin_and_none_of_its_retries() -> None:
    assert replay_headers(LETTER) == (
        ("original-topic", b"p.raw"),
        ("original-offset", b"9"),
        ("replayed-from", b"mailgun.events.dlq/1/42"),
    )


def test_the_key_of_a_mark_names_its_letter() -> None:
    assert marked_place(mark_key(LETTER)) == (("mailgun.events.dlq", 1), 42)


@pytest.mark.parametrize("key", [b"", b"x", b"x/1", b"x/1/y", b"x/-1/2", b"\xff"])
def test_other_keys_name_none(key: bytes) -> None:
    assert marked_place(key) is None


def test_chosen_offsets_are_read_in_few_and_short_stretches() -> None:
    assert reaches(choices((1, 5), (0, 1000), (0, 7), (0, 5), (0, 7))) == [(0, 5, 8), (0, 1000, 1001), (1, 5, 6)]
    assert reaches([]) == []


def test_a_request_has_its_defaults() -> None:
    request = replay_request(b'{"topic": "email.events.dlq", "reason": "database"}')
    assert (request.offsets, request.limit, request.force, request.dry_run) == (None, None, False, False)
