"""Page tokens: all of a query and a position, in Base64 of a JSON list. The server keeps nothing about a page.

The list is [range, position, flags, null, filters, limit, "message#" + id]. A range is ``{"a": true, "b": time}``
when it is open, ``{"b": time, "e": time}`` when it has an end; a position is written alike, its ``b`` being the
millisecond of the last (going back: first) item of the page. Flags are ``["f"]``, or ``["p", "f"]`` for going back.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import msgspec

from services.sandbox.mailgun import filters
from services.sandbox.mailgun.events import from_iso, iso
from services.sandbox.mailgun.queries import MOST_LIMIT, BadRequest, Query, Range

_BOUNDARY = "message#"
_IMPLIED = frozenset({"account.id", "domain.name"})


class Position(msgspec.Struct, frozen=True):
    """Where a page begins: behind (or, going back, before) an item."""

    instant_ms: int
    event_id: str | None = None
    """The item within the millisecond; None: the millisecond's own edge."""
    back: bool = False
    """The page before the position, not the one behind it."""


class Token(msgspec.Struct, frozen=True):
    """What a page URL says."""

    query: Query
    position: Position


def encode(token: Token, *, domain: str) -> str:
    """The token as it stands in a URL's path, before percent-encoding."""
    query, position = token.query, token.position
    pairs = [["account.id", "66c4a0000000000000000abc"], ["domain.name", domain], *map(list, query.filters)]
    boundary = None if position.event_id is None else _BOUNDARY + position.event_id
    flags = ["p", "f"] if position.back else ["f"]
    parts = [_range(query.range), _position(query.range, position), flags, None, pairs, query.limit, boundary]
    return base64.b64encode(json.dumps(parts).encode()).decode()


def decode(text: str) -> Token:
    """The token of a URL's path.

    Raises:
        BadRequest: it is none of ours.

    """
    try:
        where, position, flags, _, pairs, limit, boundary = json.loads(base64.b64decode(text, validate=True))
        event_id = None if boundary is None else str(boundary).removeprefix(_BOUNDARY)
        own = tuple((str(name), str(value)) for name, value in pairs if name not in _IMPLIED)
        token = Token(
            Query(_read_range(where), own, int(limit)),
            Position(from_iso(position["b"]), event_id, back="p" in flags),
        )
    except (ValueError, TypeError, KeyError, binascii.Error):
        raise BadRequest("Invalid page token") from None
    if not 1 <= token.query.limit <= MOST_LIMIT or any(name not in filters.FIELDS for name, _ in own):
        raise BadRequest("Invalid page token")
    return token


def _range(asked: Range) -> dict[str, Any]:
    if asked.end_ms is None:
        return {"a": asked.ascending, "b": iso(asked.begin_ms)}
    return {"b": iso(asked.begin_ms), "e": iso(asked.end_ms)}


def _position(asked: Range, position: Position) -> dict[str, Any]:
    if position.back:
        return {"b": iso(position.instant_ms), "e": iso(asked.begin_ms)}
    return _range(msgspec.structs.replace(asked, begin_ms=position.instant_ms))


def _read_range(where: dict[str, Any]) -> Range:
    begin = from_iso(where["b"])
    if "e" not in where:
        return Range(begin, None, ascending=bool(where["a"]))
    end = from_iso(where["e"])
    return Range(begin, end, ascending=end > begin)
