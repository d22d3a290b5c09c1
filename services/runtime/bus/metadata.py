"""What the cluster says of its topics."""

from __future__ import annotations

from typing import Any

import msgspec
from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from services.runtime.bus.client import log, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.errors import SettingsError, Transient


def admin_client(config: KafkaConfig) -> AdminClient:
    """A client for questions about the cluster. Does not block.

    Raises:
        SettingsError: for a property that librdkafka refuses.

    """
    settings: dict[str, Any] = {**config.client(), "logger": log}
    try:
        return AdminClient(settings)
    except KafkaException as error:
        raise SettingsError([f"KAFKA_PROPERTIES_FILE: {error.args[0].str()}"]) from None


def partitions_of(client: AdminClient | Consumer, topic: str, timeout: float = 10.0) -> list[int]:
    """The numbers of a topic's partitions. Blocks.

    Raises:
        Transient: no broker answers, or there is no such topic (yet).

    """
    try:
        found = client.list_topics(topic, timeout=timeout).topics[topic]
    except KafkaException as error:
        raise translated(error.args[0], f"look up {topic}") from error
    if found.error is not None or not found.partitions:
        reason = found.error.str() if found.error is not None else "it has no partitions"
        raise Transient(f"Kafka: topic {topic}: {reason}; create the topics with `mailriver topics create`")
    return sorted(found.partitions)


class Span(msgspec.Struct, frozen=True):
    """What a partition holds at a moment."""

    begin: int
    """The offset of its first record."""
    end: int
    """The offset after its last record that is committed, transaction marks included."""


def spans_of(admin: AdminClient, topic: str, timeout: float = 10.0) -> dict[int, Span]:
    """The span of each of a topic's partitions, as a reader of committed records sees it. Blocks.

    Raises:
        Transient: no broker answers, or there is no such topic (yet).

    """
    places = [TopicPartition(topic, number) for number in partitions_of(admin, topic, timeout)]
    begins, ends = (
        _offsets(admin, dict.fromkeys(places, spec), timeout)
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]  # untyped in the library
    )
    return {number: Span(begins[number], ends[number]) for number in sorted(ends)}


def _offsets(admin: AdminClient, wanted: dict[TopicPartition, Any], timeout: float) -> dict[int, int]:
    try:
        futures = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout)
        return {place.partition: future.result().offset for place, future in futures.items()}
    except KafkaException as error:
        raise translated(error.args[0], "look up the ends of a topic") from error
