"""Cursors of lists: what goes in comes out, and nothing else is taken."""

from __future__ import annotations

import pytest

from services.console.core.cursors import cursor, place_of
from services.console.core.requests import BadRequest

PLACE = ["2026-01-01T12:00:00.000Z", "e1/ü"]


def test_a_cursor_brings_its_place_back() -> None:
    assert place_of("emails", cursor("emails", PLACE), list[str]) == PLACE
    assert place_of("emails", None, list[str]) is None


def test_a_cursor_fits_into_a_url() -> None:
    assert cursor("emails", PLACE).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("text", ["", "=", "A", "AAAA", "ü", "\0", "\ud800", cursor("dlq", PLACE), cursor("emails", 1)])
def test_what_this_list_has_not_made_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^after: give the cursor"):
        place_of("emails", text, list[str])


def test_a_changed_cursor_is_refused() -> None:
    text = cursor("emails", PLACE)
    for changed in (text[:-1], text + "A", text + "=", " " + text, text.swapcase()):
        with pytest.raises(BadRequest):
            place_of("emails", changed, list[str])
