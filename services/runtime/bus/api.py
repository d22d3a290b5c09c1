"""What the services see of Kafka: records in, records out. Nothing of librdkafka is named here."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
Partition: TypeAlias = tuple[str, int]
"""A topic's name (with its prefix) and a partition's number."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as it was read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Milliseconds since 1970-01-01 UTC, set by producer or broker."""
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> Partition:
        """The partition it was read from."""
        return self.topic, self.partition

    def header(self, name: str) -> bytes | None:
        """The last header of that name, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to be written; its key chooses the partition, as Java's clients do."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class PartitionLag(msgspec.Struct, frozen=True):
    """How far behind a consumer is on one partition."""

    topic: str
    partition: int
    messages: int
    """High watermark minus the next offset to commit."""
    oldest_ms: int | None
    """Timestamp of the oldest record not processed yet, as far as known; None if there is none."""


class Bounds(msgspec.Struct, frozen=True):
    """What a partition holds: the offsets from ``first`` to before ``end``; not each of them need hold a record."""

    first: int
    end: int
