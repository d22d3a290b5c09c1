"""What an item of Mailgun says once its many spellings are put aside."""

from __future__ import annotations

import msgspec

from services.contracts.reasons import EventType


class Failure(msgspec.Struct, frozen=True, gc=False):
    """What a ``failed`` item says about the failure. The texts are clean: see ``text.clean``."""

    severity: str
    """``permanent`` or ``temporary``."""
    code: int | None
    enhanced_code: str | None
    message: str | None
    reason: str | None


class Normalised(msgspec.Struct, frozen=True, gc=False):
    """An item that passed the rules N1-N12. Ids and the address are as received, not cleaned."""

    event_type: EventType
    occurred_at: int
    """Microseconds since 1970."""
    recipient: str | None
    provider_message_id: str | None
    email_id: str | None
    """The user variable ``email-id``, trimmed; None where it is no text or empty."""
    failure: Failure | None = None
    """Of ``failed`` items; None for all others."""

    @property
    def occurred_at_ms(self) -> int:
        """Milliseconds since 1970, cut."""
        return self.occurred_at // 1000
