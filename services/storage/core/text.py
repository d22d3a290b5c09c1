"""Which texts Postgres can hold."""

from __future__ import annotations


def storable(text: str) -> bool:
    """Whether Postgres can hold this text as it is: no NUL, no lone surrogates."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
