"""Unsubscriptions, each of which counts once."""

from __future__ import annotations

from services.contracts.events import EmailUnsubscribed
from services.storage.core.part import Part


def unsubscriptions(part: Part) -> dict[tuple[str, int], int]:
    """The unsubscriptions by (event id, instant), which is what makes two the same; of the same ones the first."""
    once: dict[tuple[str, int], int] = {}
    for index in part.of_type[EmailUnsubscribed]:
        instant, event_id = part.rank(index)
        once.setdefault((event_id, instant), index)
    return dict(sorted(once.items()))
