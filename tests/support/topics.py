"""Reading topics whole, as their consumers see them."""

from __future__ import annotations

import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from services.runtime import resources, topics_admin
from services.runtime.bus.api import Record
from services.runtime.bus.client import record_of
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of
from tests.support.waiting import wait_until

_EOF: int = KafkaError._PARTITION_EOF
_NEW_TOPIC = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)


def create_topics(bootstrap: str, prefix: str) -> AdminClient:
    """All declared topics, with this prefix."""
    admin = admin_client(KafkaConfig(bootstrap))
    created = topics_admin.create(admin, resources.topic_specs(), prefix)
    assert created.differences == ()
    return admin


def read_committed(bootstrap: str, topic: str) -> list[Record]:
    """Every committed record of a topic, by partition and offset, up to its present end."""
    ends = wait_until(lambda: _ends(bootstrap, topic), seconds=20, what=f"the broker tells the ends of {topic}")
    waiting = {partition for partition, end in ends.items() if end > 0}
    consumer = Consumer(KafkaConfig(bootstrap).consumer("reads-without-a-group"))
    records: list[Record] = []
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in waiting])
        deadline = time.monotonic() + 30
        while waiting:
            assert time.monotonic() < deadline, f"{topic}: {waiting} are not read to their ends"
            for message in consumer.consume(5_000, 0.1):
                _take(message, records, waiting, ends)
    finally:
        consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _ends(bootstrap: str, topic: str) -> dict[int, int]:
    """The end of each partition; nothing while the broker is still at work on a new topic."""
    admin = admin_client(KafkaConfig(bootstrap))
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = [TopicPartition(topic, number) for number in partitions_of(admin, topic)]
    futures = admin.list_offsets(dict.fromkeys(places, latest), isolation_level=IsolationLevel.READ_COMMITTED)
    try:
        return {place.partition: future.result().offset for place, future in futures.items()}
    except KafkaException as error:
        if error.args[0].code() in _NEW_TOPIC:
            return {}
        raise


def _take(message: Message, records: list[Record], waiting: set[int], ends: dict[int, int]) -> None:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    error = message.error()
    if error is None:
        records.append(record_of(message))
    elif error.code() != _EOF:
        raise AssertionError(error.str())
    if offset + (error is None) >= ends[partition]:
        waiting.discard(partition)
