"""Records whose mail or recipient nobody knows yet: put off to a retry topic, each with a longer delay."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts import topics
from services.runtime.bus.api import Outgoing, Record
from services.runtime.deadletter import Origin

ATTEMPT, DUE = "attempt", "due"
"""Headers: how often it was put off; when it may be tried, in milliseconds since 1970."""


class Retries:
    """Knows the retry topics and their delays."""

    def __init__(self, prefix: str, delays: Sequence[float]) -> None:
        """``delays``: seconds, one for each retry topic that is used, from the first on."""
        self._ladder = [
            (topics.prefixed(prefix, topic), round(seconds * 1000))
            for topic, seconds in zip(topics.RAW_RETRIES, delays, strict=False)
        ]
        self._longest_ms = max(delay_ms for _, delay_ms in self._ladder)
        self.topics = tuple(topics.prefixed(prefix, topic) for topic in topics.RAW_RETRIES)

    def again(self, record: Record, now_ms: int) -> Outgoing | None:
        """The record for the next retry topic, bytes unchanged; None if it was tried often enough."""
        attempt = _number(record.header(ATTEMPT)) or 0
        if not 0 <= attempt < len(self._ladder):
            return None
        topic, delay_ms = self._ladder[attempt]
        headers = (
            (ATTEMPT, b"%d" % (attempt + 1)),
            (DUE, b"%d" % (now_ms + delay_ms)),
            *Origin.of(record).headers(),
        )
        return Outgoing(topic, record.key, record.value, headers)

    def due_ms(self, record: Record) -> int | None:
        """When a record may be tried, in milliseconds since 1970; None for at once.

        At the latest after the longest delay: a header that says otherwise must not block what is behind it.
        """
        due_ms = _number(record.header(DUE)) if record.topic in self.topics else None
        return None if due_ms is None else min(due_ms, record.timestamp_ms + self._longest_ms)


def _number(text: bytes | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
