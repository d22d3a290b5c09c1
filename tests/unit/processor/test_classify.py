"""What becomes of an event."""

from __future__ import annotations

import pytest

from services.contracts.events import (
    EmailBounced,
    EmailClicked,
    EmailDelivered,
    EmailEvent,
    EmailOpened,
    EmailTemporarilyFailed,
    EmailUnsubscribed,
    SpamComplaint,
)
from services.contracts.outcome import Emit, Reject, Retry, Skip
from services.contracts.reasons import DeadReason, EventType
from services.processor.core.classify import classify
from services.processor.core.normalised import Failure, Normalised
from services.processor.core.resolve import Recipient, Unmatched
from tests.support.mailgun_items import raw

RAW = raw({})
ALICE = Recipient("r1", "e1", "member-1", "Alice@example.com")
HARD = Failure("permanent", 550, "5.1.1", "No such user", "bounce")
SOFT = Failure("temporary", None, None, None, None)


def normalised(event_type: EventType, failure: Failure | None = None) -> Normalised:
    """An event as the core sees it: its ids and address are not those of the recipient's row."""
    return Normalised(event_type, 1787220004_626817, "ALICE@example.com", "m1", "other", failure)


@pytest.mark.parametrize(
    ("event_type", "failure", "kind"),
    [
        (EventType.DELIVERED, None, EmailDelivered),
        (EventType.OPENED, None, EmailOpened),
        (EventType.CLICKED, None, EmailClicked),
        (EventType.FAILED, HARD, EmailBounced),
        (EventType.FAILED, SOFT, EmailTemporarilyFailed),
        (EventType.UNSUBSCRIBED, None, EmailUnsubscribed),
        (EventType.COMPLAINED, None, SpamComplaint),
    ],
)
def test_an_event_of_a_known_recipient_becomes_a_typed_event_with_the_ids_of_the_row(
    event_type: EventType, failure: Failure | None, kind: type[EmailEvent]
) -> None:
    outcome = classify(RAW, normalised(event_type, failure), ALICE)

    assert isinstance(outcome, Emit)
    event = outcome.event
    assert type(event) is kind
    assert (event.event_id, event.domain, event.loop) == (RAW.event_id, RAW.domain, RAW.loop)
    assert event.occurred_at == 1787220004_626817
    assert (event.recipient_id, event.email_id, event.member_id) == ("r1", "e1", "member-1")
    assert event.recipient == "Alice@example.com"


@pytest.mark.parametrize("failure", [HARD, SOFT])
def test_a_typed_failure_tells_what_the_item_told(failure: Failure) -> None:
    outcome = classify(RAW, normalised(EventType.FAILED, failure), ALICE)

    assert isinstance(outcome, Emit)
    event = outcome.event
    assert isinstance(event, EmailBounced | EmailTemporarilyFailed)
    assert failure == Failure(event.severity, event.code, event.enhanced_code, event.message, event.reason)


@pytest.mark.parametrize(
    "event_type",
    [
        EventType.ACCEPTED,
        EventType.REJECTED,
        EventType.STORED,
        EventType.LIST_MEMBER_UPLOADED,
        EventType.LIST_MEMBER_UPLOAD_ERROR,
        EventType.LIST_UPLOADED,
        EventType.EMAIL_VALIDATION,
        EventType.UNKNOWN,
    ],
)
def test_a_type_that_is_not_ours_is_skipped(event_type: EventType) -> None:
    assert classify(RAW, normalised(event_type), None) == Skip(event_type)


def test_an_unknown_recipient_is_tried_again() -> None:
    outcome = classify(RAW, normalised(EventType.OPENED), Unmatched.NOBODY)

    assert isinstance(outcome, Retry)
    assert "ALICE" not in outcome.error


def test_two_recipients_are_unresolved_at_once() -> None:
    outcome = classify(RAW, normalised(EventType.OPENED), Unmatched.SEVERAL)

    assert isinstance(outcome, Reject)
    assert outcome.reason is DeadReason.UNRESOLVED
    assert "ALICE" not in outcome.error


def test_a_dead_item_stays_dead() -> None:
    dead = Reject(DeadReason.NO_TIMESTAMP, "no time")

    assert classify(RAW, dead, None) is dead
