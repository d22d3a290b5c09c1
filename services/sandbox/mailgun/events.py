"""An event as the simulator takes it, and instants as Mailgun writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadEvent(ValueError):
    """A payload lacks what the simulator has to know."""


class SimulatedEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of Mailgun, with the instant from which readers may see it."""

    payload: dict[str, Any] | bytes
    """The item; bytes are its JSON and are served unchanged."""
    timestamp: float
    """Seconds since 1970-01-01 UTC, in full precision; what ranges and the order of pages go by."""
    event_type: str
    id: str
    visible_at: float
    """Seconds since 1970-01-01 UTC; may be long after ``timestamp``."""

    def payload_bytes(self) -> bytes:
        """The JSON of the item."""
        return self.payload if isinstance(self.payload, bytes) else msgspec.json.encode(self.payload)


def event_of(payload: dict[str, Any], *, visible_at: float | None = None) -> SimulatedEvent:
    """An event whose time, type and id are read from its payload; visible from its own time on unless said.

    Raises:
        BadEvent: the payload lacks a usable ``timestamp``, ``event`` or ``id``.

    """
    timestamp, event_type, given_id = payload.get("timestamp"), payload.get("event"), payload.get("id")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        raise BadEvent("an event needs a number as timestamp (or say it beside the payload)")
    if not isinstance(event_type, str) or not isinstance(given_id, str):
        raise BadEvent("an event needs texts as event and id (or say them beside the payload)")
    seen_from = float(timestamp) if visible_at is None else visible_at
    return SimulatedEvent(payload, float(timestamp), event_type, given_id, seen_from)


def milliseconds(timestamp: float) -> int:
    """An instant in whole milliseconds: cut by its digits, since a product may be off by one."""
    whole, _, fraction = repr(float(timestamp)).partition(".")
    if "e" in fraction or not fraction:
        return int(Decimal(timestamp) * 1000)
    return int(whole) * 1000 + int(f"{fraction}00"[:3])


def iso(instant_ms: int) -> str:
    """An instant as page tokens write it."""
    return moment(instant_ms).isoformat(timespec="milliseconds")


def moment(instant_ms: int) -> datetime:
    """An instant as a ``datetime`` in UTC."""
    return _EPOCH + timedelta(milliseconds=instant_ms)


def from_iso(text: str) -> int:
    """The milliseconds of an instant as page tokens write it.

    Raises:
        ValueError: it is none.

    """
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
