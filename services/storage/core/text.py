"""Which texts Postgres can hold, and what becomes of those that it cannot."""

from __future__ import annotations

import re

LONGEST_TEXT = 2_000
"""Code points of a text that is kept."""

_LONGEST_KEY = 2_600
"""Bytes of an event id: with a time beside it, it must fit into an index entry (2 704)."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> bool:
    """Whether Postgres can hold this text as it is: no NUL, no lone surrogates."""
    if "\0" in text:
        return False
    return text.isascii() or _LONE_SURROGATE.search(text) is None


def stored(text: str) -> str:
    """A text as it is stored: without NUL, U+FFFD for lone surrogates, cut to ``LONGEST_TEXT``."""
    if not text.isascii():
        text = _LONE_SURROGATE.sub("\ufffd", text)
    if "\0" in text:
        text = text.replace("\0", "")
    return text[:LONGEST_TEXT]


def stored_or_none(text: str | None) -> str | None:
    """The same, or None where nothing is left but blanks."""
    if text is None:
        return None
    # The first code points may be blank and the rest not: emptiness is judged before the cut.
    return stored(text) if text.replace("\0", "").strip() else None


def stored_event_id(event_id: str) -> str:
    """An event id as it is stored; a monstrous one is cut further, so that it can be a key."""
    text = stored(event_id)
    if len(text) * 4 <= _LONGEST_KEY or len(text.encode()) <= _LONGEST_KEY:
        return text
    return text.encode()[:_LONGEST_KEY].decode(errors="ignore")


def stored_id(identifier: str | None) -> str | None:
    """An id of the application's; None where no row can have it."""
    return identifier if identifier is not None and storable(identifier) else None
