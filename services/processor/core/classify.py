"""What becomes of an event whose recipient was looked up: one small function for each typed event."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from services.contracts.events import (
    EmailBounced,
    EmailClicked,
    EmailDelivered,
    EmailOpened,
    EmailTemporarilyFailed,
    EmailUnsubscribed,
    RawMailgunEvent,
    SpamComplaint,
    TypedEvent,
)
from services.contracts.outcome import Emit, Outcome, Reject, Retry, Skip
from services.contracts.reasons import DeadReason, EventType
from services.processor.core.failure import failure_of
from services.processor.core.normalised import Normalised
from services.processor.core.resolve import Recipient, Resolution, Unmatched

Build = Callable[[RawMailgunEvent, Normalised, Recipient], TypedEvent]

_SKIPS = {each: Skip(each) for each in EventType}
_UNTOLD = failure_of(None, None, None)  # of a failed event that tells nothing of its failure
_NOBODY = Retry("No recipient row has this address in the email that the event names.")
_SEVERAL = Reject(
    DeadReason.UNRESOLVED, "Several recipient rows of the email have this address in different spellings."
)


def classify(raw: RawMailgunEvent, normalised: Normalised | Reject, resolution: Resolution | None) -> Outcome:
    """The outcome of one raw event. ``resolution`` is None for what needs no recipient."""
    if isinstance(normalised, Reject):
        return normalised
    build = _BUILDERS.get(normalised.event_type)
    if build is None:
        return _SKIPS[normalised.event_type]
    if isinstance(resolution, Recipient):
        return Emit(build(raw, normalised, resolution))
    return _SEVERAL if resolution is Unmatched.SEVERAL else _NOBODY


class _Common(TypedDict):
    """What every typed event carries."""

    event_id: str
    occurred_at: int
    email_id: str
    recipient_id: str
    member_id: str | None
    recipient: str
    domain: str
    loop: str


def _common(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> _Common:
    return {
        "event_id": raw.event_id,
        "occurred_at": event.occurred_at,
        "email_id": recipient.email_id,
        "recipient_id": recipient.recipient_id,
        "member_id": recipient.member_id,
        "recipient": recipient.address,
        "domain": raw.domain,
        "loop": raw.loop,
    }


def _delivered(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> EmailDelivered:
    return EmailDelivered(**_common(raw, event, recipient))


def _opened(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> EmailOpened:
    return EmailOpened(**_common(raw, event, recipient))


def _clicked(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> EmailClicked:
    return EmailClicked(**_common(raw, event, recipient))


def _unsubscribed(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> EmailUnsubscribed:
    return EmailUnsubscribed(**_common(raw, event, recipient))


def _complained(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> SpamComplaint:
    return SpamComplaint(**_common(raw, event, recipient))


def _failed(raw: RawMailgunEvent, event: Normalised, recipient: Recipient) -> EmailBounced | EmailTemporarilyFailed:
    failure = event.failure or _UNTOLD
    kind = EmailBounced if failure.severity == "permanent" else EmailTemporarilyFailed
    return kind(
        **_common(raw, event, recipient),
        code=failure.code,
        enhanced_code=failure.enhanced_code,
        message=failure.message,
        reason=failure.reason,
        severity=failure.severity,
    )


_BUILDERS: dict[EventType, Build] = {
    EventType.DELIVERED: _delivered,
    EventType.FAILED: _failed,
    EventType.OPENED: _opened,
    EventType.CLICKED: _clicked,
    EventType.UNSUBSCRIBED: _unsubscribed,
    EventType.COMPLAINED: _complained,
}
