"""Answers as Mailgun words them: pages, errors, and the spoilt ones. Pure: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus

import msgspec

from services.sandbox.mailgun.scenario import ResetUnit, TooManyRequests

_JSON = "application/json; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_LIMIT = "500"

# No events: whatever a reader makes of them, the page around them must survive (sorted by oddness).
ODD_ITEMS: tuple[bytes, ...] = (
    b"null",
    b"[]",
    b'"an item that is text"',
    b"42",
    b"{}",
    b'{"event":7,"timestamp":"soon","id":["x"]}',
    b'{"event":"delivered","timestamp":true,"id":null,"message":[],"recipient":{}}',
    b'{"event":"failed","timestamp":-1,"severity":5,"delivery-status":"none","user-variables":"truncated"}',
    b'{"event":"opened","timestamp":1e400,"message":{"headers":null},"tags":{"a":1},"recipient":"nobody@example.com"}',
    b'{"event":"list_uploaded","timestamp":"later","task-id":1,"mailing-list":null}',
)


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer, and how much of it is really sent."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()
    send_bytes: int | None = None
    """The connection closes after so many bytes of the body; None: all are sent."""
    delay_seconds: float = 0.0
    """How long the client has to wait for it."""


def page_body(items: Sequence[bytes], paging: Mapping[str, str]) -> bytes:
    """The JSON of a page; items are joined as they are."""
    return b'{"items":[' + b",".join(items) + b'],"paging":' + msgspec.json.encode(paging) + b"}"


def message(status: int, text: str) -> Answer:
    """An error as JSON."""
    return Answer(status, msgspec.json.encode({"message": text}))


def forbidden() -> Answer:
    """401: text, not JSON; also what the other region's domains may get."""
    return Answer(401, b"Forbidden", _TEXT, (("Www-Authenticate", 'Basic realm="MG API"'),))


def domain_not_found(domain: str) -> Answer:
    """404 for an unknown domain, or one of the other region."""
    return message(404, f"Domain not found: {domain}")


def refused(status: int, domain: str) -> Answer:
    """One of the answers that trying again does not change."""
    match status:
        case 401:
            return forbidden()
        case 402:
            return message(402, "Request Failed")
        case 403:
            return message(403, "Forbidden")
        case _:
            return domain_not_found(domain)


def server_error(status: int) -> Answer:
    """A gateway's page."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    html = f"<html>\n<head><title>{status} {phrase}</title></head>\n<body><h1>{status} {phrase}</h1></body>\n</html>\n"
    return Answer(status, html.encode(), "text/html")


def too_many_requests(fault: TooManyRequests, now: float) -> Answer:
    """429 as the fault wants it worded."""
    waits = fault.retry_after_seconds
    body, content_type = {
        "json": (b'{"message":"Too Many Requests"}', _JSON),
        "text": (b"Too Many Requests", _TEXT),
        "retry_seconds": (msgspec.json.encode({"retry-seconds": round(waits or 0)}), _JSON),
    }[fault.body]
    headers = rate_limit_headers(fault.reset_unit, now + fault.reset_seconds)
    if waits is not None:
        headers += (("Retry-After", _retry_after(fault, waits, now)),)
    return Answer(429, body, content_type, headers)


def rate_limit_headers(unit: ResetUnit, resets_at: float) -> tuple[tuple[str, str], ...]:
    """The headers that say that nothing is left until then."""
    if unit is ResetUnit.NONE:
        return ()
    reset = f"{resets_at:.3f}" if unit is ResetUnit.SECONDS else str(round(resets_at * 1000))
    return (("X-RateLimit-Limit", _LIMIT), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset))


def cut_answer(answer: Answer, share: float) -> Answer:
    """The same with the connection closed in the middle of the body; at least the last byte is missing."""
    return msgspec.structs.replace(answer, send_bytes=min(int(len(answer.body) * share), max(len(answer.body) - 1, 0)))


def cut_json(answer: Answer, share: float) -> Answer:
    """The same with less of a body, complete by HTTP's rules."""
    return msgspec.structs.replace(answer, body=answer.body[: min(int(len(answer.body) * share), len(answer.body) - 1)])


def oversized(answer: Answer, size_bytes: int) -> Answer:
    """The same, blown up with blanks, which JSON allows: nothing but its size is wrong."""
    return msgspec.structs.replace(answer, body=answer.body.ljust(size_bytes))


def with_odd_items(items: Sequence[bytes], count: int, choose: Callable[[int], int]) -> list[bytes]:
    """The items with so many odd ones among them; ``choose(n)`` picks a number below ``n``."""
    mixed = list(items)
    for _ in range(count):
        mixed.insert(choose(len(mixed) + 1), ODD_ITEMS[choose(len(ODD_ITEMS))])
    return mixed


def _retry_after(fault: TooManyRequests, waits: float, now: float) -> str:
    return formatdate(now + waits, usegmt=True) if fault.retry_after_as == "date" else str(round(waits))
