"""What the console shows of emails: their counts, their failures, their batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from services.console.core.cursors import cursor, place_of
from services.console.core.requests import BadRequest

EMAILS, FAILURES, BATCHES = "emails", "failures", "batches"
"""The lists, as their cursors know them."""
SEVERITIES = ("permanent", "temporary")

T = TypeVar("T")


class EmailView(msgspec.Struct, frozen=True):
    """An email and how many of its recipients it has reached; times in ISO 8601."""

    id: str
    subject: str
    newsletter_id: str | None
    submitted_at: str
    recipients: int
    delivered: int
    opened: int
    clicked: int
    failed: int


class FailureView(msgspec.Struct, frozen=True):
    """The failure of one recipient: the first permanent one, or else the last temporary one."""

    recipient_id: str
    member_id: str | None
    email: str
    """The recipient's address."""
    severity: str
    code: int | None
    enhanced_code: str | None
    message: str
    failed_at: str
    event_id: str


class BatchView(msgspec.Struct, frozen=True):
    """One batch of an email; id None stands for the recipients that are in no batch."""

    id: str | None
    provider_id: str | None
    recipients: int
    delivered: int
    opened: int
    clicked: int
    failed: int


class EmailsPage(msgspec.Struct, frozen=True):
    """Emails, newest first."""

    emails: Sequence[EmailView]
    next: str | None


class FailuresPage(msgspec.Struct, frozen=True):
    """Failures by recipient id."""

    failures: Sequence[FailureView]
    next: str | None


class BatchesPage(msgspec.Struct, frozen=True):
    """Batches by id; what is in no batch comes last."""

    batches: Sequence[BatchView]
    next: str | None


class EmailPlace(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last email of a page."""

    submitted_at: str
    id: str


def email_place(text: str | None) -> EmailPlace | None:
    """The place after which a page of emails begins; raises BadRequest for a cursor that is none of this list."""
    return place_of(EMAILS, text, EmailPlace)


def id_place(of: str, text: str | None) -> str | None:
    """The id after which a page of failures or batches begins; raises BadRequest as :func:`email_place` does."""
    return place_of(of, text, str)


def severity_of(text: str | None) -> str | None:
    """Which failures are wanted; None for all.

    Raises:
        BadRequest: it is neither permanent nor temporary.

    """
    if text is not None and text not in SEVERITIES:
        raise BadRequest("severity: give permanent or temporary, or leave it out for both")
    return text


def emails_page(found: Sequence[EmailView], limit: int) -> EmailsPage:
    """A page of at most ``limit``. ``found``: one more than that, if there are as many."""
    shown = found[:limit]
    more = len(found) > limit
    return EmailsPage(shown, cursor(EMAILS, EmailPlace(shown[-1].submitted_at, shown[-1].id)) if more else None)


def failures_page(found: Sequence[FailureView], limit: int) -> FailuresPage:
    """A page of at most ``limit``. ``found``: one more than that, if there are as many."""
    shown = found[:limit]
    return FailuresPage(shown, cursor(FAILURES, shown[-1].recipient_id) if len(found) > limit else None)


def batches_page(found: Sequence[BatchView], limit: int) -> BatchesPage:
    """A page of at most ``limit``. ``found``: one more than that, if there are as many; id None can only be last."""
    shown = found[:limit]
    return BatchesPage(shown, cursor(BATCHES, shown[-1].id) if len(found) > limit else None)
