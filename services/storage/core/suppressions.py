"""Complaints, and the addresses that must get no more mail."""

from __future__ import annotations

from services.contracts.events import EmailBounced, EmailEvent, SpamComplaint
from services.storage.core.part import Part
from services.storage.core.text import stored, stored_id

_SUPPRESSING_CODES = frozenset({605, 607})
"""Mailgun has the address on its list of bounces (605) or of complaints (607)."""


def complaints(part: Part) -> dict[tuple[str, str], int]:
    """The earliest complaint for each (email id, member id); without a member there is none to record."""
    return part.earliest(part.of_type[SpamComplaint], _email_and_member)


def suppressions(part: Part) -> dict[str, int]:
    """For each suppressed address the earliest event that suppresses it."""
    return part.earliest(_suppressing(part), suppressed_address)


def suppressed_members(part: Part) -> dict[tuple[str, str], int]:
    """For each (suppressed address, id of a member that it belongs to) the earliest event that says so."""
    return part.earliest(_suppressing(part), _address_and_member)


def suppressed_address(event: EmailEvent) -> str:
    """The address of the event's recipient, as suppressions are keyed."""
    return stored(event.recipient).lower()


def suppression_reason(event: EmailEvent) -> str:
    """``spam`` or ``bounce``."""
    return "spam" if isinstance(event, SpamComplaint) else "bounce"


def _suppressing(part: Part) -> list[int]:
    bounces = (index for index in part.of_type[EmailBounced] if _suppresses(part.events[index]))
    return sorted([*part.of_type[SpamComplaint], *bounces])


def _suppresses(event: EmailEvent) -> bool:
    return isinstance(event, EmailBounced) and event.code in _SUPPRESSING_CODES


def _email_and_member(event: EmailEvent) -> tuple[str, str] | None:
    member_id = stored_id(event.member_id)
    return None if member_id is None else (stored(event.email_id), member_id)


def _address_and_member(event: EmailEvent) -> tuple[str, str] | None:
    member_id = stored_id(event.member_id)
    return None if member_id is None else (suppressed_address(event), member_id)
