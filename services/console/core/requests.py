"""What a request may ask of a list, and how it is refused."""

from __future__ import annotations

import base64
from typing import Any, TypeVar

import msgspec

LIMIT = 100
MOST_LIMIT = 1_000
K = TypeVar("K")


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


def cursor_of(key: Any) -> str:
    """The ``next`` of a page whose last entry has this key: text, numbers, tuples of them."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def after_of(text: str | None, kind: type[K]) -> K | None:
    """The key in an ``after``, which is the ``next`` of an earlier page; None for the first page.

    Raises:
        BadRequest: it is none of ours.

    """
    if not text:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=kind)
    except (msgspec.DecodeError, ValueError):
        raise BadRequest("after: give the `next` of an earlier answer as it was") from None
