"""Whom an event is about: what to ask the database for, and which of its rows is the answer.

Ask, fetch, decide: ``wanted`` and ``decide`` are the two pure ends, a ``RecipientDirectory`` is between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TypeAlias, TypeGuard

import msgspec

from services.contracts.outcome import Reject
from services.contracts.reasons import EventType
from services.processor.core.addresses import comparison_key, is_plain
from services.processor.core.normalised import Normalised

OURS = frozenset({
    EventType.DELIVERED,
    EventType.FAILED,
    EventType.OPENED,
    EventType.CLICKED,
    EventType.UNSUBSCRIBED,
    EventType.COMPLAINED,
})  # fmt: skip
"""The types that become typed events."""


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """One question: who is this address among the recipients of this mail?"""

    email_id: str | None
    """What the event's user variable says: asked first."""
    message_id: str | None
    """Mailgun's id of the mail: asked where ``email_id`` finds no recipient."""
    address: str
    """In lower case if plain, else as received."""


class Recipient(msgspec.Struct, frozen=True, gc=False):
    """A row of ``email_recipients``."""

    recipient_id: str
    email_id: str
    member_id: str | None
    address: str
    """As the row spells it."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A row that may be the answer to a lookup."""

    recipient: Recipient
    by_email_id: bool
    """Found by the lookup's ``email_id``, not by its ``message_id``."""


class Unmatched(Enum):
    """Why a lookup has no answer."""

    NOBODY = "nobody"
    SEVERAL = "several"
    """Two rows have the address: nobody can tell which."""


Resolution: TypeAlias = Recipient | Unmatched


def wanted(batch: Sequence[Normalised | Reject]) -> list[Lookup]:
    """The lookups of the events that become typed events, one each, in the order of the batch."""
    return [lookup_of(each) for each in batch if needs_recipient(each)]


def needs_recipient(normalised: Normalised | Reject) -> TypeGuard[Normalised]:
    """Whether the event becomes a typed event once its recipient is known."""
    return isinstance(normalised, Normalised) and normalised.event_type in OURS


def lookup_of(event: Normalised) -> Lookup:
    """The lookup of one event; spellings that differ in case alone give equal lookups."""
    address = event.recipient or ""
    return Lookup(event.email_id, event.provider_message_id, address.lower() if is_plain(address) else address)


def decide(lookup: Lookup, candidates: Iterable[Candidate]) -> Resolution:
    """Which candidate is the answer: rows found by the email id go before those found by the message id."""
    key = comparison_key(lookup.address)
    by_email_id: dict[str, Recipient] = {}
    by_message_id: dict[str, Recipient] = {}
    for candidate in candidates:
        recipient = candidate.recipient
        if comparison_key(recipient.address) == key:
            (by_email_id if candidate.by_email_id else by_message_id)[recipient.recipient_id] = recipient
    matching = list((by_email_id or by_message_id).values())
    if not matching:
        return Unmatched.NOBODY
    return matching[0] if len(matching) == 1 else Unmatched.SEVERAL
