"""What all Kafka clients of librdkafka have in common: their errors, their logs, their records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, Message, TopicPartition

from services.runtime.bus.api import Headers, Partition, Record
from services.runtime.errors import Fatal, SessionLost, Transient

# librdkafka's own log lines go here instead of to stderr.
log = logging.getLogger("librdkafka")

PARTITION_EOF: int = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's name for it
_MAX_POLL_EXCEEDED: int = KafkaError._MAX_POLL_EXCEEDED  # noqa: SLF001 - librdkafka's name for it
_FENCED: int = KafkaError._FENCED  # noqa: SLF001 - librdkafka's name for it

ErrorHook = Callable[[str, str], None]
"""Told of an error that a client had in the background: its name and its text. Must not raise."""


def translated(error: KafkaError, doing: str) -> Transient:
    """Transient, or SessionLost where these clients are of no use any more."""
    lost = error.fatal() or error.code() in (_FENCED, _MAX_POLL_EXCEEDED)
    return (SessionLost if lost else Transient)(f"Kafka: {doing}: {error.name()}: {error.str()}")


def misconfigured(error: KafkaException) -> Fatal:
    """What librdkafka says of its own configuration, which only a person can mend."""
    return Fatal(f"Kafka: {error.args[0].str()}; look at KAFKA_PROPERTIES_FILE")


def record_of(message: Message) -> Record:
    """A message without error as a record."""
    kind, timestamp = message.timestamp()
    return Record(
        cast(str, message.topic()),
        cast(int, message.partition()),
        cast(int, message.offset()),
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        message.key(),
        message.value(),
        tuple(cast(Headers, message.headers() or ())),
    )


def positions(offsets: Mapping[Partition, int]) -> list[TopicPartition]:
    """Offsets in librdkafka's form."""
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
