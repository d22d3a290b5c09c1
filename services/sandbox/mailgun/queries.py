"""What a request asks for: range, direction, filters, limit. Read from the parameters of its URL."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from services.sandbox.mailgun import filters
from services.sandbox.mailgun.events import milliseconds, moment

DEFAULT_LIMIT = 100
MOST_LIMIT = 300
_DIRECTIONS = {"yes": True, "true": True, "no": False, "false": False}
_KNOWN = filters.FIELDS | {"begin", "end", "ascending", "limit", "pretty"}


class BadRequest(ValueError):
    """Mailgun would answer 400, with this text as the message."""


class Range(msgspec.Struct, frozen=True):
    """An interval of milliseconds with a direction. ``begin_ms`` is always where reading starts."""

    begin_ms: int
    end_ms: int | None
    """None: up to whatever arrives, or down to the edge of the retention."""
    ascending: bool

    def clipped(self, edge_ms: int) -> Range:
        """The same range without what is older than ``edge_ms``. Mailgun says nothing about it."""
        if self.ascending:
            return msgspec.structs.replace(self, begin_ms=max(self.begin_ms, edge_ms))
        return msgspec.structs.replace(self, end_ms=max(self.end_ms if self.end_ms is not None else edge_ms, edge_ms))


class Query(msgspec.Struct, frozen=True):
    """A whole question. Page tokens carry it, so that page URLs need no parameters."""

    range: Range
    filters: tuple[tuple[str, str], ...]
    """Field and expression; a field may come twice, and both must hold."""
    limit: int


class Selection:
    """The filters of a query, ready to be asked about events."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Read the expressions.

        Raises:
            BadFilter: one cannot be read.

        """
        tests: dict[str, list[filters.Test]] = {}
        for field, expression in pairs:
            tests.setdefault(field, []).append(filters.parse(field, expression))
        self._event = filters.all_of(tests.pop("event", []))
        self._others = {field: filters.all_of(several) for field, several in tests.items()}

    def event_types(self, known: Collection[str]) -> list[str]:
        """Those of the known types that can match."""
        return [name for name in known if self._event([name])]

    @property
    def by_type_alone(self) -> bool:
        """Whether every event of a type that matches does."""
        return not self._others

    def matches(self, payload: bytes) -> bool:
        """Whether an event of a type that matches does so in its other fields too."""
        event: Any = msgspec.json.decode(payload)
        if not isinstance(event, Mapping):
            return False
        return all(test(filters.values(field, event)) for field, test in self._others.items())


def read_query(parameters: Sequence[tuple[str, str]], *, now_ms: int, edge_ms: int) -> Query:
    """The query that a request's parameters ask for; ``edge_ms``: the oldest instant that is kept.

    Instants are cut to milliseconds, as Mailgun's tokens show it does. A parameter that the API does not have is
    refused: the real service's answer is not known, and silence would hide a client's misspelling.

    Raises:
        BadRequest: and why.

    """
    unknown = sorted({name for name, _ in parameters} - _KNOWN)
    if unknown:
        raise BadRequest(f"Unknown parameter: {', '.join(unknown)}")
    pairs = tuple((name, value) for name, value in parameters if name in filters.FIELDS)
    try:
        Selection(pairs)
    except filters.BadFilter as error:
        raise BadRequest(str(error)) from None
    given = dict(parameters)
    _direction("pretty", given)
    return Query(_range(given, now_ms=now_ms, edge_ms=edge_ms), pairs, _limit(given.get("limit")))


def _range(given: Mapping[str, str], *, now_ms: int, edge_ms: int) -> Range:
    begin = _instant("begin", given)
    end = _instant("end", given)
    ascending = _direction("ascending", given)
    if begin is None and end is not None:
        raise BadRequest("Inconsistent range: end needs a begin")
    if begin is None:
        return Range(edge_ms, None, ascending=True) if ascending else Range(now_ms, None, ascending=False)
    if end is None and ascending is None:
        raise BadRequest("Inconsistent range: begin needs an end or a direction (ascending)")
    if end is None:
        return Range(begin, None, ascending=bool(ascending))
    if begin == end or (ascending is not None and ascending != (end > begin)):
        raise BadRequest(f"Inconsistent range: begin={moment(begin)}, end={moment(end)}, ascending={ascending}")
    return Range(begin, end, ascending=end > begin)


def _instant(name: str, given: Mapping[str, str]) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return milliseconds(float(text))
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        raise BadRequest(f"{name} is neither epoch seconds nor an RFC 2822 date: {text!r}") from None
    return milliseconds((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())


def _direction(name: str, given: Mapping[str, str]) -> bool | None:
    text = given.get(name)
    if text is None:
        return None
    if text.lower() not in _DIRECTIONS:
        raise BadRequest(f"{name} must be yes or no, not {text!r}")
    return _DIRECTIONS[text.lower()]


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_LIMIT):
        raise BadRequest(f"limit must be from 1 to {MOST_LIMIT}, not {text!r}")
    return int(text)
