"""A page of Mailgun's answer: its items as they came, what identifies each, and the link to the next page.

What one item holds never fails its page: whatever the fast reader refuses is read again by Python's ``json``, and only
what that refuses too is no page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services.contracts import identity
from services.fetcher.core.cursor import Seen


class BadPage(Exception):
    """The answer is no page: not JSON, not of the shape, or without the link that its items need."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """An item, ready to be published."""

    event_id: str
    occurred_at: int | None
    key: bytes
    payload: bytes
    event_type: str

    @property
    def seen(self) -> Seen:
        """What the cursor needs of it."""
        return Seen(identity.bounded(self.event_id), self.occurred_at)


class Page(msgspec.Struct, frozen=True):
    """The items of a page in Mailgun's order; ``next_url`` is None only where there are none."""

    items: list[Item]
    next_url: str | None
    replaced: bool = False
    """Whether bytes that are no UTF-8 had to be replaced."""


class _Paging(msgspec.Struct):
    next: str | None = None


class _Envelope(msgspec.Struct):
    items: list[msgspec.Raw]
    paging: _Paging | None = None


class _Headers(msgspec.Struct):
    message_id: str | None = msgspec.field(name="message-id", default=None)


class _Message(msgspec.Struct):
    headers: _Headers | None = None


class _Usual(msgspec.Struct):
    """The members of nearly every item; what is otherwise is read the slow way."""

    id: str
    timestamp: float
    message: _Message
    recipient: str
    event: str = ""


_envelope = msgspec.json.Decoder(_Envelope)
_usual = msgspec.json.Decoder(_Usual)


def read_page(body: bytes) -> Page:
    """The page in a body.

    Raises:
        BadPage: with a line that says what is wrong, without any of the content.

    """
    text, replaced = _utf8(body)
    try:
        envelope = _envelope.decode(text)
        items = [_read_item(bytes(raw)) for raw in envelope.items]
        following = envelope.paging.next if envelope.paging else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        items, following = _read_slowly(text)
    if items and not following:
        raise BadPage("the page has items and no link to the next page")
    return Page(items, following, replaced)


def _utf8(body: bytes) -> tuple[bytes, bool]:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode(), True
    return body, False


def _read_item(payload: bytes) -> Item:
    try:
        item = _usual.decode(payload)
    except msgspec.MsgspecError:
        return item_of(json.loads(payload), payload)
    occurred_at = identity.occurred_at(item.timestamp)
    headers = item.message.headers
    message_id = headers.message_id if headers else None
    if not item.id or not message_id or occurred_at is None or not message_id.isascii():
        return item_of(json.loads(payload), payload)
    if message_id[0] == "<" or message_id[-1] == ">" or message_id != message_id.strip():
        return item_of(json.loads(payload), payload)
    key = identity.raw_key(message_id, identity.address(item.recipient))
    return Item(item.id, occurred_at, key, payload, item.event)


def _read_slowly(text: bytes) -> tuple[list[Item], str | None]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadPage(f"the answer is not JSON ({type(error).__name__})") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise BadPage("the answer has no list of items")
    paging = answer.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    try:
        items = [item_of(item, json.dumps(item).encode("ascii")) for item in answer["items"]]
    except RecursionError:
        raise BadPage("an item is nested too deeply") from None
    return items, following if isinstance(following, str) else None


def item_of(item: Any, payload: bytes) -> Item:
    """Any JSON value as an item: what it lacks is left empty, for the processor to judge."""
    if not isinstance(item, Mapping):
        return Item(identity.event_id(item), None, identity.raw_key(None, None), payload, "")
    recipient = identity.address(item.get("recipient"))
    key = identity.raw_key(identity.message_id(item.get("message")), recipient)
    occurred_at = identity.occurred_at(item.get("timestamp"), item.get("@timestamp"))
    event_type = item.get("event")
    # Text may hold lone surrogates, which no UTF-8 can carry.
    event_id = identity.without_surrogates(identity.event_id(item))
    return Item(event_id, occurred_at, key, payload, event_type if isinstance(event_type, str) else "")


def is_same_origin(base_url: str, url: str) -> bool:
    """Whether a link stays on the configured scheme, host and port: the key travels with every request."""
    return _origin(base_url) == _origin(url)


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.username or parts.password:
        return None
    return parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme)
