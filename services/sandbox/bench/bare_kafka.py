"""Kafka without a service: writes a backlog, looks at a group from outside, and makes the floors' loops.

A floor does the least that any design must do, with the same client settings and the same codec as the services: no
retries, no dead letters, no metrics, no care for a rebalance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition

from services.runtime.bus.api import Outgoing
from services.runtime.bus.client import log
from services.runtime.bus.config import KafkaConfig
from services.runtime.errors import Fatal

FAULT = KafkaException
"""What is raised here where Kafka fails."""
_SECONDS = 60.0
_WAIT_SECONDS = 0.2


class Publisher:
    """Writes records outside of any transaction, so that offsets count them."""

    def __init__(self, config: KafkaConfig) -> None:
        self._producer = Producer({**config.producer(), "queue.buffering.max.kbytes": 262_144, "logger": log})

    def publish(self, records: Iterable[Outgoing]) -> None:
        """Write records. Blocks until the broker has them.

        Raises:
            Fatal: it did not take all of them.

        """
        for record in records:
            _produce(self._producer, record)
        if left := self._producer.flush(_SECONDS):
            raise Fatal(f"Kafka did not take {left} records in {_SECONDS:g} s")


def _produce(producer: Producer, record: Outgoing) -> None:
    while True:
        try:
            producer.produce(record.topic, record.value, record.key)
        except BufferError:
            producer.poll(0.05)
        else:
            return


class Onlooker:
    """What a group has committed of a topic that holds no transaction marks: how many records are done."""

    def __init__(self, config: KafkaConfig, group: str, topic: str, partitions: int) -> None:
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer = Consumer({**config.consumer(group), "logger": log})
        self._done = 0

    def done(self) -> int:
        """The number now; the last known one while the group has no coordinator. Blocks for a question."""
        with suppress(KafkaException):
            found = self._consumer.committed(self._places, timeout=_SECONDS)
            self._done = sum(max(0, place.offset) for place in found)
        return self._done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


class BareLoop:
    """Reads a topic from its beginning in batches; writes and commits, if told to, in one transaction each."""

    def __init__(self, config: KafkaConfig, name: str, topic: str, partitions: int) -> None:
        """``name``: of the group, and of the producer's transactions."""
        self._config, self._name = config, name
        self._consumer = Consumer({**config.consumer(name), "logger": log})
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
        self._producer: Producer | None = None

    def batches(self, size: int, total: int) -> Iterator[list[Message]]:
        """Full batches of ``size`` records, until there were ``total`` of them. Blocks."""
        for seen in range(0, total, size):
            batch: list[Message] = []
            while len(batch) < min(size, total - seen):
                found = self._consumer.consume(min(size, total - seen) - len(batch), _WAIT_SECONDS)
                batch += [message for message in found if message.error() is None]
            yield batch

    def commit(self) -> None:
        """Commit what was read. Blocks."""
        self._consumer.commit(offsets=self._positions(), asynchronous=False)

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write records and commit what was read, in one transaction. Blocks."""
        producer = self._producer or self._opened()
        producer.begin_transaction()
        for record in records:
            _produce(producer, record)
        producer.send_offsets_to_transaction(self._positions(), self._consumer.consumer_group_metadata(), _SECONDS)
        producer.commit_transaction(_SECONDS)

    def _positions(self) -> list[TopicPartition]:
        return [place for place in self._consumer.position(self._consumer.assignment()) if place.offset >= 0]

    def _opened(self) -> Producer:
        producer = Producer({**self._config.producer(self._name), "logger": log})
        producer.init_transactions(_SECONDS)
        self._producer = producer
        return producer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
