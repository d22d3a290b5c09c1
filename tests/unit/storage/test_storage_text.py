"""What texts become before they are stored."""

from __future__ import annotations

import pytest

from services.storage.core.text import stored, stored_event_id, stored_id, stored_or_none


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\0b", "ab"),
        ("\ud800x", "\ufffdx"),
        ("x" * 3_000, "x" * 2_000),
        ("\0" * 3_000 + "y", "y"),
        ("😀" * 2_001, "😀" * 2_000),
    ],
)
def test_texts_are_cleaned_and_then_cut(given: str, kept: str) -> None:
    assert stored(given) == stored_or_none(given) == kept


@pytest.mark.parametrize("given", [None, "", "\0", " \0\t"])
def test_emptiness_is_judged_after_the_cleaning(given: str | None) -> None:
    assert stored_or_none(given) is None


def test_emptiness_is_judged_before_the_cut() -> None:
    assert stored_or_none(" " * 2_000 + "x") == " " * 2_000


def test_an_event_id_fits_into_an_index() -> None:
    assert stored_event_id("é" * 2_000) == "é" * 1_300
    assert stored_event_id("a" + "é" * 2_000) == "a" + "é" * 1_299
    assert stored_event_id("x" * 2_001) == "x" * 2_000


@pytest.mark.parametrize(("given", "kept"), [("m", "m"), (None, None), ("m\0", None), ("\udfff", None)])
def test_an_id_that_no_row_can_have_is_none(given: str | None, kept: str | None) -> None:
    assert stored_id(given) == kept
