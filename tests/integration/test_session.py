"""A worker's session on a real broker: what becomes of a transaction that nobody ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer, TopicPartition

from services.runtime.bus.api import Outgoing
from services.runtime.bus.config import TRANSACTION_TIMEOUT_MS, KafkaConfig
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.clock import SystemClock
from services.runtime.session import Session
from tests.support.apps import publish
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics, read_committed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


class Worker:
    """Reads one topic and writes to another, as a worker does."""

    def __init__(self, kafka: KafkaServer, prefix: str) -> None:
        self.config, self.prefix = KafkaConfig(kafka.bootstrap), prefix
        self.read, self.written = f"{prefix}mailgun.events.raw", f"{prefix}email.events"
        self.session = Session(
            self.config, group=f"{prefix}g", topics=[self.read], transactional_id=f"{prefix}t", clock=SystemClock()
        )

    def opens(self) -> GroupConsumer:
        """A consumer with partitions."""
        consumer = self.session.open(
            on_error=lambda _name, _text: None, on_assigned=lambda _: None, on_revoked=lambda _: None
        )

        def joined() -> bool:
            consumer.poll(1, 0.1, most_bytes=1, linger=0.0)
            return bool(consumer.assigned)

        wait_until(joined, seconds=30, what="the group is joined")
        return consumer

    def leaves_open(self, consumer: GroupConsumer, offset: int) -> Producer:
        """A transaction of the session's own id with a record and an offset, that nobody ends."""
        producer = Producer(self.config.producer(f"{self.prefix}t"))
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.produce(self.written, b"never committed")
        producer.send_offsets_to_transaction([TopicPartition(self.read, 0, offset)], consumer.group_metadata(), 20)
        producer.flush(20)
        return producer


@pytest.fixture
def worker(kafka: KafkaServer, topic_prefix: str) -> Iterator[Worker]:
    create_topics(kafka.bootstrap, topic_prefix)
    worker = Worker(kafka, topic_prefix)
    yield worker
    worker.session.close()


def test_what_a_lost_session_left_open_is_ended_before_the_group_is_joined_again(
    kafka: KafkaServer, worker: Worker
) -> None:
    """Else the committed offsets would be hidden until it times out, and might be read before its fate is decided."""
    publish(kafka.bootstrap, [Outgoing(worker.read, None, b"record")] * 3, partition=0)
    consumer = worker.opens()
    worker.session.finish(consumer, [Outgoing(worker.written, None, b"one")], {(worker.read, 0): 1})
    left = worker.leaves_open(consumer, 3)
    worker.session.close()
    began = time.monotonic()
    consumer = worker.opens()
    assert consumer.committed([(worker.read, 0)]) == {(worker.read, 0): 1}
    assert time.monotonic() - began < TRANSACTION_TIMEOUT_MS / 1000 / 2
    assert [record.value for record in read_committed(kafka.bootstrap, worker.written)] == [b"one"]
    del left
