"""What the cluster says of its topics."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

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
