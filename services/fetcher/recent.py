"""A bounded memory of what this process has published, so that no loop need publish it again.

An event that comes late may be shown to ``missing`` and to a latest loop at the same time, to whichever first.

Forgetting is harmless: what is published twice changes nothing (promise P2).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from services.contracts import identity
from services.fetcher.core.page import Item

EventKey = tuple[str, str, int | None]
"""Domain, id and instant of an event."""


def key_of(domain: str, item: Item) -> EventKey:
    """What makes an item the same event as another."""
    return domain, identity.bounded(item.event_id), item.occurred_at


class RecentlyPublished:
    """The events published last, up to a bound."""

    def __init__(self, most: int) -> None:
        """``most``: events that are remembered."""
        self._most = most
        self._known: dict[EventKey, None] = {}

    def add(self, domain: str, items: Iterable[Item]) -> None:
        """Remember items that Kafka has; the oldest are forgotten."""
        for item in items:
            self._known[key_of(domain, item)] = None
        for key in list(islice(self._known, max(0, len(self._known) - self._most))):
            del self._known[key]

    def holds(self, domain: str, item: Item) -> bool:
        """Whether this very event (id and instant) is remembered."""
        return key_of(domain, item) in self._known
