"""Filter expressions of the Events API: ``event=failed OR delivered``, ``recipient=("a@x" NOT b@x)``.

Terms side by side or joined by AND must all hold; OR, NOT, brackets, quotes, and ``>n``, ``<n`` on
numbers. Words compare without case. Which part of an event a field looks at:

* event, severity, message-id, recipient, list: the whole value;
* tags, recipients: any one of the values;
* from, to, subject, attachment: a part of the text;
* size: the number.

``<`` and ``>`` are operators also where somebody meant the brackets of a message id: the words then compare by
their order, which finds unrelated events, as it does at Mailgun.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

FIELDS = frozenset(
    {
        *("event", "severity", "recipient", "recipients", "list", "tags", "attachment", "size"),
        *("message-id", "from", "to", "subject"),
    }
)
_PARTIAL = frozenset({"from", "to", "subject", "attachment"})
_TOKEN = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<sign>[()<>])|(?P<word>[^\s()<>"]+))')

Test: TypeAlias = Callable[[list[str]], bool]
"""Says whether the values that an event has for a field fulfil an expression."""


class BadFilter(ValueError):
    """An expression cannot be read."""


def parse(field: str, expression: str) -> Test:
    """The test that an expression stands for.

    Raises:
        BadFilter: the expression has no meaning for this field.

    """
    parser = _Parser(field, expression)
    return parser.whole()


def values(field: str, event: Mapping[str, Any]) -> list[str]:
    """The texts that an event has for a field; none where it lacks it or has it in another shape."""
    message = _object(event.get("message"))
    found: Any
    match field:
        case "tags":
            found = event.get("tags")
        case "recipients":
            found = message.get("recipients")
        case "size":
            found = [message.get("size")]
        case "list":
            found = [_object(event.get("mailing-list")).get("address")]
        case "attachment":
            attachments = message.get("attachments")
            found = [_object(each).get("filename") for each in attachments] if isinstance(attachments, list) else []
        case "from" | "to" | "subject" | "message-id":
            found = [_object(message.get("headers")).get(field)]
        case _:
            found = [event.get(field)]
    return _texts(found)


def all_of(tests: Iterable[Test]) -> Test:
    """One test out of many: all have to hold."""
    several = list(tests)
    return lambda found: all(test(found) for test in several)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(found: Any) -> list[str]:
    if not isinstance(found, list):
        return []
    return [str(each) for each in found if isinstance(each, str | int | float)]


class _Parser:
    """Recursive descent: OR binds least, then AND (or nothing between two terms), then NOT."""

    def __init__(self, field: str, expression: str) -> None:
        self._field = field
        self._expression = expression
        self._tokens = list(self._scan(expression))
        self._at = 0

    def whole(self) -> Test:
        test = self._either()
        if self._at < len(self._tokens):
            raise self._fault(f"{self._tokens[self._at][1]!r} is out of place")
        return test

    def _scan(self, expression: str) -> Iterable[tuple[str, str]]:
        at, end = 0, len(expression.rstrip())
        while at < end:
            found = _TOKEN.match(expression, at)
            if found is None:
                raise self._fault("a quote is not closed")
            kind = found.lastgroup or "word"
            text = found[kind]
            yield (text if text in {"AND", "OR", "NOT"} and kind == "word" else kind), text
            at = found.end()

    def _kind(self) -> str | None:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else None

    def _either(self) -> Test:
        branches = [self._both()]
        while self._kind() == "OR":
            self._at += 1
            branches.append(self._both())
        return branches[0] if len(branches) == 1 else lambda found: any(branch(found) for branch in branches)

    def _both(self) -> Test:
        terms = [self._term()]
        while (kind := self._kind()) is not None and kind != "OR" and self._tokens[self._at][1] != ")":
            if kind == "AND":
                self._at += 1
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else all_of(terms)

    def _term(self) -> Test:
        if self._at == len(self._tokens):
            raise self._fault("it ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "NOT":
            inner = self._term()
            return lambda found: not inner(found)
        if kind == "sign":
            return self._bracket() if text == "(" else self._comparison(text)
        if kind in {"word", "quoted"}:
            return self._word(text)
        raise self._fault(f"{text!r} is out of place")

    def _bracket(self) -> Test:
        test = self._either()
        if self._at == len(self._tokens) or self._tokens[self._at][1] != ")":
            raise self._fault("a bracket is not closed")
        self._at += 1
        return test

    def _comparison(self, sign: str) -> Test:
        if sign == ")":
            raise self._fault("a bracket was not opened")
        if self._kind() not in {"word", "quoted"}:
            return lambda _: True  # The closing bracket of a message id: an operator without operand.
        bound = self._tokens[self._at][1]
        self._at += 1
        if self._field == "size":
            number = self._number(bound)
            return lambda found: any(_compares(sign, float(each), number) for each in found)
        folded = bound.casefold()
        return lambda found: any(_compares(sign, each.casefold(), folded) for each in found)

    def _word(self, text: str) -> Test:
        if self._field == "size":
            number = self._number(text)
            return lambda found: any(float(each) == number for each in found)
        folded = text.casefold()
        if self._field in _PARTIAL:
            return lambda found: any(folded in each.casefold() for each in found)
        return lambda found: any(folded == each.casefold() for each in found)

    def _number(self, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise self._fault(f"{text!r} is no number") from None

    def _fault(self, what: str) -> BadFilter:
        return BadFilter(f"bad filter {self._field}={self._expression!r}: {what}")


def _compares(sign: str, value: Any, bound: Any) -> bool:
    return bool(value < bound if sign == "<" else value > bound)
