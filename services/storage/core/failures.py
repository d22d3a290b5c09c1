"""Which failure of a recipient is kept, and how it is told."""

from __future__ import annotations

import msgspec

from services.contracts.events import EmailBounced, EmailEvent, EmailTemporarilyFailed, FailureEvent
from services.storage.core.part import Part
from services.storage.core.text import stored_id, stored_or_none

_LARGEST_CODE = 2**31 - 1


class Told(msgspec.Struct, frozen=True):
    """What a failure says, in a form that can be stored."""

    severity: str
    code: int | None
    enhanced_code: str | None
    message: str
    """Never empty."""


def failures(part: Part) -> dict[str, int]:
    """For each recipient the failure to keep: the earliest permanent one, else the latest temporary one."""
    temporary = part.latest(part.of_type[EmailTemporarilyFailed], _recipient)
    permanent = part.earliest(part.of_type[EmailBounced], _recipient)
    return dict(sorted({**temporary, **permanent}.items()))


def told(failure: FailureEvent) -> Told:
    """What a failure says; without a message its code stands for it."""
    code = failure.code if failure.code is not None and 0 <= failure.code <= _LARGEST_CODE else None
    enhanced_code = stored_or_none(failure.enhanced_code)
    message = stored_or_none(failure.message) or " ".join(["Error", *_code_text(code, enhanced_code)])
    severity = "permanent" if isinstance(failure, EmailBounced) else "temporary"
    return Told(severity, code, enhanced_code, message)


def _code_text(code: int | None, enhanced_code: str | None) -> list[str]:
    if enhanced_code is not None:
        return [enhanced_code]
    return [] if code is None else [str(code)]


def _recipient(event: EmailEvent) -> str | None:
    return stored_id(event.recipient_id)
