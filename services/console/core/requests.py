"""What a request may ask of a list, and how it is refused."""

from __future__ import annotations

LIMIT = 100
MOST_LIMIT = 1_000


class BadRequest(Exception):
    """Asked for in a wrong way (422); the text says what is right."""


def limit_of(text: str | None) -> int:
    """How many entries of a list: 100 if not said, at most 1000.

    Raises:
        BadRequest: it is no whole number above 0.

    """
    if text is None:
        return LIMIT
    if not (text.isascii() and text.isdigit()) or int(text[:10]) == 0:
        raise BadRequest("limit: give a whole number from 1 to 1000")
    return min(int(text[:10]), MOST_LIMIT)
