"""What the tables must hold, by the words of the rules alone: slow, plain, and written apart from the service.

A state is a function of the set of events. All times are whole milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.contracts.events import EmailEvent


class Row(NamedTuple):
    """The columns of ``email_recipients`` that events set."""

    failed_at: int | None
    first_delivered_at: int | None
    delivered_at: int | None
    opened_at: int | None
    clicked_at: int | None


def recipient_row(recipient_id: str, events: Sequence[EmailEvent]) -> Row:
    """The row of one recipient."""

    def earliest(event_type: str) -> int | None:
        mine = [e for e in events if e.recipient_id == recipient_id and e.event_type == event_type]
        return min((e.occurred_at // 1000 for e in mine), default=None)

    failed, delivered = earliest("bounced"), earliest("delivered")
    return Row(
        failed_at=failed,
        first_delivered_at=delivered,
        delivered_at=None if failed is not None else delivered,
        opened_at=earliest("opened"),
        clicked_at=earliest("clicked"),
    )


def recipient_rows(recipient_ids: Iterable[str], events: Sequence[EmailEvent]) -> dict[str, Row]:
    """The rows of all recipients."""
    return {recipient_id: recipient_row(recipient_id, events) for recipient_id in recipient_ids}


def changed(before: Sequence[EmailEvent], batch: Sequence[EmailEvent]) -> set[int]:
    """Which events of a batch changed something, after the events before it: their places in the batch."""
    return {place for place in range(len(batch)) if _changes(place, before, batch)}


def _changes(place: int, before: Sequence[EmailEvent], batch: Sequence[EmailEvent]) -> bool:
    event = batch[place]
    if event.event_type not in ("bounced", "delivered", "opened", "clicked"):
        return False
    rivals = [
        (e.occurred_at // 1000, e.event_id.encode(), i) for i, e in enumerate(batch) if _value(e) == _value(event)
    ]
    stored = [e.occurred_at // 1000 for e in before if _value(e) == _value(event)]
    return min(rivals)[2] == place and all(event.occurred_at // 1000 < at for at in stored)


def _value(event: EmailEvent) -> tuple[str, str]:
    return event.recipient_id, event.event_type
