"""Cursors of lists: opaque to whoever pages, and refused where they were changed or belong to another list."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, TypeVar

import msgspec

from services.console.core.requests import BadRequest

T = TypeVar("T")
_DIGEST_BYTES = 6


def cursor(of: str, place: Any) -> str:
    """Where the next page of the list ``of`` begins, as text that fits into a URL. ``place``: anything JSON has."""
    data = msgspec.json.encode(place)
    return base64.urlsafe_b64encode(_digest(of, data) + data).decode().rstrip("=")


def place_of(of: str, text: str | None, kind: type[T]) -> T | None:
    """The place that a cursor of the list ``of`` names; None for None: the list from its beginning.

    Raises:
        BadRequest: no list has made this cursor, or another one.

    """
    if text is None:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if cursor(of, msgspec.json.decode(data[_DIGEST_BYTES:])) != text:
            raise BadRequest(_WRONG)
        return msgspec.json.decode(data[_DIGEST_BYTES:], type=kind)
    except (binascii.Error, ValueError, RecursionError, msgspec.MsgspecError):
        raise BadRequest(_WRONG) from None


_WRONG = "after: give the cursor that the last page had as `next`, unchanged; leave it out for the first page"


def _digest(of: str, data: bytes) -> bytes:
    return hashlib.blake2s(data, digest_size=_DIGEST_BYTES, person=of.encode()[:8]).digest()
