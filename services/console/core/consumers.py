"""The services that consume, their groups and topics, and their lag as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from services.contracts import topics

FETCHER, PROCESSOR, STORAGE = "fetcher", "processor", "storage"
SERVICES = (FETCHER, PROCESSOR, STORAGE)
READS: Mapping[str, Sequence[str]] = {
    PROCESSOR: (topics.RAW, *topics.RAW_RETRIES),
    STORAGE: (topics.EMAIL_EVENTS,),
}
"""The topics, without prefix, of each service whose lag counts."""


class Lag(msgspec.Struct, frozen=True):
    """How far a group is behind on one partition."""

    group: str
    topic: str
    partition: int
    messages: int
    oldest_ms: int | None
    """The time of the oldest record not processed, in milliseconds since 1970; None if unknown, or if there is none."""


class ConsumerRow(msgspec.Struct, frozen=True, gc=False):
    """An entry of ``GET /api/consumers``."""

    group: str
    topic: str
    partition: int
    lag_messages: int
    lag_seconds: float | None
    """The age of the oldest record not processed; 0 if there is none, null if it could not be looked at."""


class ServiceRow(msgspec.Struct, frozen=True, gc=False):
    """An entry of ``GET /api/services``: a service without a member in its group is down."""

    service: str
    state: str
    members: int


def consumer_row(lag: Lag, now: float) -> ConsumerRow:
    """The lag as it is ``now`` (seconds since 1970)."""
    seconds: float | None = 0.0
    if lag.messages:
        seconds = None if lag.oldest_ms is None else round(max(0.0, now - lag.oldest_ms / 1000), 3)
    return ConsumerRow(lag.group, lag.topic, lag.partition, lag.messages, seconds)


def service_row(service: str, members: int) -> ServiceRow:
    """A service by the number of members in its group."""
    return ServiceRow(service, "up" if members else "down", members)
