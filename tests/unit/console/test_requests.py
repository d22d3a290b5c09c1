"""What lists may be asked for."""

from __future__ import annotations

import pytest

from services.console.core.board import Position
from services.console.core.requests import BadRequest, after_of, cursor_of, limit_of


@pytest.mark.parametrize(("text", "limit"), [(None, 100), ("1", 1), ("1000", 1000), ("1001", 1000), ("9" * 5000, 1000)])
def test_a_limit_is_bounded(text: str | None, limit: int) -> None:
    """More than a thousand is a thousand."""
    assert limit_of(text) == limit


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", "", "\u0661", "1 "])
def test_a_wrong_limit_is_refused(text: str) -> None:
    """It says what is right."""
    with pytest.raises(BadRequest, match="from 1 to 1000"):
        limit_of(text)


@pytest.mark.parametrize("position", [Position(("a", "b"), None), Position(None, "s1"), Position(("", ""), "ü")])
def test_a_cursor_comes_back_as_it_was(position: Position) -> None:
    """It is opaque to whoever carries it."""
    assert after_of(cursor_of(position), Position) == position


@pytest.mark.parametrize("text", ["x", "####", "bnVsbA==", cursor_of([1, 2]), cursor_of({"a": 1}), "ü", "A" * 60_001])
def test_a_foreign_cursor_is_refused(text: str) -> None:
    """Whatever it holds."""
    with pytest.raises(BadRequest, match="after"):
        after_of(text, Position)


def test_no_cursor_is_the_beginning() -> None:
    """An empty one too."""
    assert after_of(None, Position) is None
    assert after_of("", Position) is None
