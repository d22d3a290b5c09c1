"""Which texts can be kept: every text that leaves the processor can be written as UTF-8 and stored by Postgres."""

from __future__ import annotations

import re
from typing import Any

LONGEST_TEXT = 2_000
"""Code points of a text that is kept."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(value: Any, limit: int = LONGEST_TEXT) -> str | None:
    """A text without NUL and lone surrogates, cut to ``limit`` code points; None if it is no text or blank.

    Emptiness is judged after the cleaning and before the cut.
    """
    if not isinstance(value, str):
        return None
    text = value
    if not text.isascii():
        text = _LONE_SURROGATE.sub("\ufffd", text)
    if "\0" in text:
        text = text.replace("\0", "")
    return text[:limit] if text and not text.isspace() else None


def storable(text: str) -> bool:
    """Whether Postgres can hold this text as it is, and so whether a key of it can match anything."""
    if "\0" in text:
        return False
    return text.isascii() or _LONE_SURROGATE.search(text) is None
