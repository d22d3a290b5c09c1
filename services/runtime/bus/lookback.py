"""Reads committed records of a topic at any place, on librdkafka: for onlookers, outside of any group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from services.runtime.bus.api import Bounds, Partition, Record
from services.runtime.bus.client import PARTITION_EOF, ErrorHook, log, misconfigured, record_of, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of
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
            SettingsError: for a property that librdkafka refuses.

        """
        self._clock, self._on_error = clock, on_error
        self._admin: AdminClient = admin_client(config)
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
        places = [
            TopicPartition(topic, number)
            for topic in topics
            # Asked of the consumer, which then knows the leaders: else its first read would take a second.
            for number in partitions_of(self._consumer, topic, max(1.0, deadline.remaining()))
        ]
        firsts = self._offsets(places, OffsetSpec.earliest(), deadline)  # type: ignore[no-untyped-call]  # untyped there
        ends = self._offsets(places, OffsetSpec.latest(), deadline)  # type: ignore[no-untyped-call]  # untyped there
        return {place: Bounds(firsts[place], ends[place]) for place in firsts}

    def _offsets(self, places: list[TopicPartition], spec: OffsetSpec, deadline: Deadline) -> dict[Partition, int]:
        try:
            futures = self._admin.list_offsets(
                dict.fromkeys(places, spec),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=max(1.0, deadline.remaining()),
            )
            return {(place.topic, place.partition): future.result().offset for place, future in futures.items()}
        except KafkaException as error:
            raise translated(error.args[0], "look up the ends of topics") from error

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
