"""Lag and services as the API shows them."""

from __future__ import annotations

import pytest

from services.console.core.consumers import Lag, consumer_row, service_row


@pytest.mark.parametrize(
    ("messages", "oldest_ms", "seconds"), [(0, None, 0.0), (3, 90_000, 10.0), (3, None, None), (3, 200_000, 0.0)]
)
def test_lag_in_seconds_is_the_age_of_the_oldest_record(
    messages: int, oldest_ms: int | None, seconds: float | None
) -> None:
    """0 if there is none, null if unknown; a clock that is behind makes no negative age."""
    row = consumer_row(Lag("storage", "email.events", 1, messages, oldest_ms), 100.0)
    assert (row.lag_messages, row.lag_seconds) == (messages, seconds)


def test_a_service_without_members_is_down() -> None:
    """However long its group has been there."""
    assert service_row("fetcher", 0).state == "down"
    assert service_row("fetcher", 2).state == "up"
