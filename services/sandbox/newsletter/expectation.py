"""What must become of the rows: worked out from the events' own payloads, by nothing that the services use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from services.sandbox.mailgun.events import milliseconds
from services.sandbox.newsletter.audience import Newsletter, canonical


class RecipientTruth(msgspec.Struct, frozen=True, gc=False):
    """The columns of a row in ``email_recipients``: milliseconds since 1970-01-01 UTC, or None."""

    failed_at: int | None = None
    first_delivered_at: int | None = None
    delivered_at: int | None = None
    opened_at: int | None = None
    clicked_at: int | None = None


class _Item(msgspec.Struct, gc=False):
    """What counts of an event."""

    event: str
    timestamp: float
    recipient: str
    severity: str | None = None


def expected_recipients(newsletter: Newsletter) -> dict[str, RecipientTruth]:
    """The columns of every recipient by its id, those without any event among them.

    A column holds the least instant of its kind of event, cut to milliseconds; ``delivered_at`` is empty where there
    is a permanent failure, whichever came first.
    """
    numbers = _numbers(newsletter)
    least: dict[tuple[int, str], int] = {}
    for item in _items(newsletter):
        kind = _kind(item)
        at = (numbers[canonical(item.recipient)], kind)
        instant = milliseconds(item.timestamp)
        if instant < least.get(at, instant + 1):
            least[at] = instant
    return {newsletter.recipient_id(number): _truth(least, number) for number in range(newsletter.recipients)}


def totals(newsletter: Newsletter) -> dict[str, int]:
    """How many events there are of each type; failures as ``failed_permanent`` and ``failed_temporary``."""
    return dict(Counter(_kind(item) for item in _items(newsletter)))


def _numbers(newsletter: Newsletter) -> dict[str, int]:
    return {canonical(newsletter.address(number)): number for number in range(newsletter.recipients)}


def _items(newsletter: Newsletter) -> Iterator[_Item]:
    decoder = msgspec.json.Decoder(_Item)
    return (decoder.decode(event.payload_bytes()) for event in newsletter.events)


def _kind(item: _Item) -> str:
    return f"failed_{item.severity}" if item.event == "failed" else item.event


def _truth(least: dict[tuple[int, str], int], number: int) -> RecipientTruth:
    failed = least.get((number, "failed_permanent"))
    delivered = least.get((number, "delivered"))
    return RecipientTruth(
        failed_at=failed,
        first_delivered_at=delivered,
        delivered_at=delivered if failed is None else None,
        opened_at=least.get((number, "opened")),
        clicked_at=least.get((number, "clicked")),
    )
