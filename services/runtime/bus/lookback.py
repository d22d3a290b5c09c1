"""Reads committed records of a topic at any place, on librdkafka: for onlookers, outside of any group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from services.runtime.bus.api import Bounds, Partition, Record
from services.runtime.bus.client import PARTITION_EOF, ErrorHook, log, misconfigured, record_of, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import partitions_of
from services.runtime.clock import Clock, Deadline
from services.runtime.errors import Transient

_CHUNK = 500
_POLL_SECONDS = 0.02  # consume() waits so long for a chunk that the end of the partition does not fill
# A reader that jumps about throws away what was fetched ahead; and the end of a partition is told by an empty answer,
# which the broker holds back for so long.
_SMALL_STEPS = {"queued.max.messages.kbytes": 2_048, "fetch.wait.max.ms": 10}


class LookBack:
    """Reads stretches of partitions. For one thread at a time; its connections stay open until :meth:`close`."""

    def __init__(self, config: KafkaConfig, name: str, *, clock: Clock, on_error: ErrorHook) -> None:
        """``name``: of the reader, with the prefix; no group of this name is joined. Does not block.

        Raises:
            Fatal: for a property that librdkafka refuses.

        """
        self._clock, self._on_error = clock, on_error
        settings = {
            **config.consumer(name),
            **_SMALL_STEPS,
            "error_cb": lambda error: on_error(error.name(), error.str()),
            "logger": log,
        }
        try:
            self._consumer = Consumer(settings)
        except KafkaException as error:
            raise misconfigured(error) from error

    def bounds(self, topics: Sequence[str], timeout: float = 5.0) -> dict[Partition, Bounds]:
        """What each partition of these topics holds now: offsets from the first one kept to the last stable one.

        Blocks.

        Raises:
            Transient: Kafka is away, or has no such topic.

        """
        deadline = Deadline(self._clock, timeout)
        found: dict[Partition, Bounds] = {}
        for topic in topics:
            # The answer also tells this consumer who leads now; else its first read would take a second, and an
            # admin client's list_offsets() is refused for ever after a leader's restart (FENCED_LEADER_EPOCH).
            for number in partitions_of(self._consumer, topic, max(1.0, deadline.remaining())):
                found[topic, number] = self._bounds_of(TopicPartition(topic, number), deadline)
        return found

    def _bounds_of(self, place: TopicPartition, deadline: Deadline) -> Bounds:
        try:
            # Of a reader of committed records: up to the last stable offset.
            first, end = self._consumer.get_watermark_offsets(place, max(1.0, deadline.remaining()), cached=False)
        except KafkaException as error:
            raise translated(error.args[0], f"look up the ends of {place.topic}") from error
        return Bounds(first, end)

    def read(self, place: Partition, first: int, end: int, timeout: float = 20.0) -> Iterator[Record]:
        """The committed records with ``first`` <= offset < ``end``, in order. Blocks between them.

        Offsets that hold none (marks of transactions, aborted records, what retention or compaction removed) are
        passed over. ``end`` must not lie beyond the last stable offset. Another ``read`` ends this one.

        Raises:
            Transient: Kafka is away: nothing comes for ``timeout`` seconds.

        """
        if first >= end:
            return
        topic, partition = place
        try:
            self._consumer.assign([TopicPartition(topic, partition, first)])
            for message in self._messages(f"{topic}/{partition} from {first} to {end}", timeout):
                is_record, offset = message.error() is None, cast(int, message.offset())
                if is_record and first <= offset < end:
                    yield record_of(message)
                if self._reaches(end, message):
                    break
            self._consumer.unassign()
        except KafkaException as error:
            raise translated(error.args[0], f"read {topic}") from error

    def _messages(self, what: str, timeout: float) -> Iterator[Message]:
        deadline = Deadline(self._clock, timeout)
        while not deadline.passed:
            messages = self._consumer.consume(_CHUNK, _POLL_SECONDS)
            if messages:
                deadline = Deadline(self._clock, timeout)
            yield from messages
        raise Transient(f"Kafka: nothing came of {what} for {timeout:g} s")

    def _reaches(self, end: int, message: Message) -> bool:
        """Whether nothing before ``end`` can follow."""
        error, offset = message.error(), cast(int, message.offset())
        if error is None:
            return offset >= end - 1
        if error.code() == PARTITION_EOF:
            return offset >= end
        self._on_error(error.name(), error.str())
        return False

    def close(self) -> None:
        """Close the connections. Blocks for a moment."""
        self._consumer.close()
