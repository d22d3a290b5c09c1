"""The rules N1-N12 on an item of any shape: whatever JSON it is, it is normalised or has a reason to be dead.

This is the definition; ``normalise`` answers most items by a faster way that must agree with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import getaddresses
from typing import Any

from services.contracts import identity
from services.contracts.outcome import Reject
from services.contracts.reasons import DeadReason, EventType
from services.processor.core.failure import failure_of
from services.processor.core.normalised import Normalised

NEED_RECIPIENT = frozenset({
    EventType.ACCEPTED,
    EventType.DELIVERED,
    EventType.FAILED,
    EventType.OPENED,
    EventType.CLICKED,
    EventType.UNSUBSCRIBED,
    EventType.COMPLAINED,
})  # fmt: skip
NEED_IDENTITY = NEED_RECIPIENT | {EventType.REJECTED, EventType.STORED}

EVENT_TYPES: dict[str, EventType] = {each.value: each for each in EventType if each is not EventType.UNKNOWN}

_LONGEST_TO_HEADER = 1_000


def read_item(payload: bytes) -> dict[str, Any] | Reject:
    """The object in these bytes, as Python's ``json`` reads it: what that refuses is no JSON (N1)."""
    try:
        item = json.loads(payload)
    except json.JSONDecodeError as error:
        return Reject(DeadReason.NOT_JSON, f"The payload is no JSON: {error.msg} at character {error.pos}.")
    except UnicodeDecodeError as error:
        return Reject(DeadReason.NOT_JSON, f"The payload is no JSON: byte {error.start} is no {error.encoding}.")
    except ValueError:
        return Reject(DeadReason.NOT_JSON, "The payload is no JSON that can be read: an integer has too many digits.")
    except RecursionError:
        return Reject(DeadReason.NOT_JSON, "The payload is no JSON that can be read: it is nested too deeply.")
    if not isinstance(item, dict):
        return Reject(DeadReason.NOT_OBJECT, f"The payload is JSON, but no object: {type(item).__name__}.")
    return item


def normalise_item(item: Mapping[str, Any]) -> Normalised | Reject:
    """An item by the rules N2-N10; the first rule that it breaks is the reason it is dead."""
    event_type = event_type_of(item.get("event"))
    if event_type is None:
        return Reject(DeadReason.NO_TYPE, "The item has no event type.")
    occurred_at = identity.occurred_at(item.get("timestamp"), item.get("@timestamp"))
    if occurred_at is None:
        return Reject(DeadReason.NO_TIMESTAMP, "The item has no usable timestamp.")
    message_id = identity.message_id(item.get("message"))
    email_id = email_id_of(user_variables_of(item))
    if event_type in NEED_IDENTITY and message_id is None and email_id is None:
        return Reject(DeadReason.NO_IDENTITY, "The item has neither a message id nor the user variable email-id.")
    recipient = recipient_of(event_type, item)
    if event_type in NEED_RECIPIENT and recipient is None:
        return Reject(DeadReason.NO_RECIPIENT, "The item has no recipient.")
    failure = None
    if event_type is EventType.FAILED:
        failure = failure_of(item.get("severity"), item.get("reason"), item.get("delivery-status"))
    return Normalised(event_type, occurred_at, recipient, message_id, email_id, failure)


def event_type_of(event: Any) -> EventType | None:
    """The type by its name in any case, unknown for other names; None if there is no name (N2)."""
    name = event.strip().lower() if isinstance(event, str) else ""
    return EVENT_TYPES.get(name, EventType.UNKNOWN) if name else None


def recipient_of(event_type: EventType, item: Mapping[str, Any]) -> str | None:
    """The address of the recipient; for a rejected item also from a To header that holds exactly one (N5)."""
    recipient = identity.address(item.get("recipient"))
    if recipient is None and event_type is EventType.REJECTED:
        return _only_address(_to_header(item.get("message")))
    return recipient


def _to_header(message: Any) -> Any:
    headers = message.get("headers") if isinstance(message, Mapping) else None
    return headers.get("to") if isinstance(headers, Mapping) else None


def _only_address(header: Any) -> str | None:
    # Longer ones hold more than one address, or nothing that is worth the time to read it.
    if not isinstance(header, str) or len(header) > _LONGEST_TO_HEADER:
        return None
    try:
        addresses = [address for _, address in getaddresses([header]) if address]
    except (RecursionError, ValueError, IndexError):
        return None  # The parser recurses into nested comments.
    return identity.address(addresses[0]) if len(addresses) == 1 and "@" in addresses[0] else None


def user_variables_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """The user variables, given as an object or as the JSON text of one; anything else is none (N11)."""
    variables = item.get("user-variables")
    if isinstance(variables, str):
        try:
            variables = json.loads(variables)
        except (ValueError, RecursionError):
            return {}
    return variables if isinstance(variables, dict) else {}


def email_id_of(variables: Mapping[str, Any]) -> str | None:
    """The variable ``email-id``, trimmed; None unless it is text that is not blank (N10)."""
    email_id = variables.get("email-id")
    return (email_id.strip() or None) if isinstance(email_id, str) else None
