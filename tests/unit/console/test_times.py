"""Instants as the API shows them."""

from __future__ import annotations

import pytest

from services.console.core.times import iso


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_123_999, "2026-01-01T00:00:00.123Z"),
        (2**62, "9999-12-31T23:59:59.999Z"),
        (-(2**62), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_an_instant_is_shown_and_one_that_no_calendar_has_is_no_error(instant: int | None, shown: str | None) -> None:
    """A record may hold any number: it must not take the list down that it stands in."""
    assert iso(instant) == shown
