"""A bounded memory of what this process has published, so that ``missing`` need not publish it again.

Forgetting is harmless: what is published twice changes nothing (promise P2).
"""

from __future__ import annotations

from collections.abc import Iterable

from services.fetcher.core.page import Item


class RecentlyPublished:
    """The events published last, up to a bound."""

    def __init__(self, most: int) -> None:
        """``most``: events that are remembered."""
        self._most = most
        self._known: dict[tuple[str, str, int | None], None] = {}

    def add(self, domain: str, items: Iterable[Item]) -> None:
        """Remember items that Kafka has; the oldest are forgotten."""
        for item in items:
            self._known[domain, item.event_id, item.occurred_at] = None
        for key in list(self._known)[: max(0, len(self._known) - self._most)]:
            del self._known[key]

    def holds(self, domain: str, item: Item) -> bool:
        """Whether this very event (id and instant) is remembered."""
        return (domain, item.event_id, item.occurred_at) in self._known
