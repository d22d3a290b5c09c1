"""From the bytes of an item to its normal form. Hot: each raw record passes here.

Nearly all items have the ordinary shape, and a decoder that reads the few fields needed takes a fifth of the
time of a whole decode. Whatever is odd in any way goes to ``item``, whose rules decide; so this module accepts
items and never refuses one.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.contracts import identity
from services.contracts.outcome import Reject
from services.contracts.reasons import EventType
from services.processor.core.failure import failure_of
from services.processor.core.item import EVENT_TYPES, normalise_item, read_item
from services.processor.core.normalised import Failure, Normalised

_LONGEST_ORDINARY = 4_300
"""Python's json refuses integers of more digits, which the fast decoder would skip; longer items are rare."""


class _Headers(msgspec.Struct, gc=False):
    message_id: str = msgspec.field(name="message-id")


class _Message(msgspec.Struct, gc=False):
    headers: _Headers


class _Variables(msgspec.Struct, gc=False):
    email_id: str | None = msgspec.field(name="email-id", default=None)


class _Item(msgspec.Struct, gc=False):
    """An item of the ordinary shape. Other shapes are no fault: they make the decoder refuse, and ``item`` decides."""

    event: str
    timestamp: float | int
    recipient: str
    message: _Message
    user_variables: _Variables | list[Any] | None = msgspec.field(name="user-variables", default=None)
    severity: Any = None
    reason: Any = None
    delivery_status: msgspec.Raw = msgspec.field(name="delivery-status", default=msgspec.Raw(b"null"))


_ordinary = msgspec.json.Decoder(_Item).decode


def normalise(payload: bytes) -> Normalised | Reject:
    """The normal form of an item, or the first reason why it is a dead letter. Never raises."""
    quick = _normalise_ordinary(payload)
    if quick is not None:
        return quick
    item = read_item(payload)
    return item if isinstance(item, Reject) else normalise_item(item)


def _normalise_ordinary(payload: bytes) -> Normalised | None:
    """The normal form of an item of the ordinary shape; None where ``item`` has to decide."""
    if len(payload) > _LONGEST_ORDINARY:
        return None
    try:
        if not payload.isascii():
            payload.decode()  # msgspec does not look at the bytes of what it skips
        item = _ordinary(payload)
        event_type = EVENT_TYPES.get(item.event)
        return None if event_type is None else _normalised(event_type, item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _normalised(event_type: EventType, item: _Item) -> Normalised | None:
    message_id = item.message.headers.message_id
    occurred_at = identity.occurred_at(item.timestamp)
    recipient = identity.address(item.recipient)
    if not message_id or message_id[0] == "<" or message_id != message_id.strip():
        return None
    if occurred_at is None or recipient is None:
        return None
    variables = item.user_variables
    email_id = variables.email_id if isinstance(variables, _Variables) else None
    email_id = email_id.strip() if email_id else None
    failure = _failure(item) if event_type is EventType.FAILED else None
    return Normalised(event_type, occurred_at, recipient, message_id, email_id or None, failure)


def _failure(item: _Item) -> Failure:
    # Python's json, so that odd numbers and texts in it mean the same as in `item`.
    return failure_of(item.severity, item.reason, json.loads(bytes(item.delivery_status)))
