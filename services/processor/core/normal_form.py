"""The complete normal form of an item, by the rules of docs/normalisation.md: also what no typed event carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.contracts.outcome import Reject
from services.contracts.reasons import EventType
from services.processor.core.failure import code_of, enhanced_code_of, message_of
from services.processor.core.item import read_item, user_variables_of
from services.processor.core.normalise import normalise
from services.processor.core.text import clean


class NormalForm(msgspec.Struct, frozen=True, kw_only=True):
    """All that the rules N2-N11 say of one item."""

    event_type: EventType
    recipient: str | None
    provider_message_id: str | None
    event_timestamp_ms: int
    severity: str | None
    code: int | None
    enhanced_code: str | None
    message: str | None
    user_variables: dict[str, Any]


def normal_form(payload: bytes) -> NormalForm | Reject:
    """The complete normal form, or why the item is a dead letter. Several times as dear as ``normalise``."""
    normalised = normalise(payload)
    if isinstance(normalised, Reject):
        return normalised
    item = read_item(payload)
    if isinstance(item, Reject):
        return item
    status = item.get("delivery-status")
    return NormalForm(
        event_type=normalised.event_type,
        recipient=normalised.recipient,
        provider_message_id=normalised.provider_message_id,
        event_timestamp_ms=normalised.occurred_at_ms,
        severity=normalised.failure.severity if normalised.failure else None,
        code=code_of(status),
        enhanced_code=enhanced_code_of(status),
        message=_rejection(item) if _was_rejected(normalised.event_type, status) else message_of(status),
        user_variables=user_variables_of(item),
    )


def _was_rejected(event_type: EventType, status: Any) -> bool:
    return event_type is EventType.REJECTED and not isinstance(status, Mapping)


def _rejection(item: Mapping[str, Any]) -> str | None:
    reject = item.get("reject")
    if not isinstance(reject, Mapping):
        return None
    return clean(reject.get("reason")) or clean(reject.get("description"))
