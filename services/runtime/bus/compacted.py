"""Reads a compacted topic to its end, on librdkafka."""

from __future__ import annotations

from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from services.runtime.bus.client import PARTITION_EOF, ErrorHook, log, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of
from services.runtime.clock import Clock, Deadline
from services.runtime.errors import Transient

_CHUNK = 2_000


class CompactedTopic:
    """Reads a compacted topic to its end: the last committed value of each key."""

    def __init__(self, config: KafkaConfig, topic: str, *, clock: Clock, on_error: ErrorHook) -> None:
        self._config, self._topic, self._clock, self._on_error = config, topic, clock, on_error

    def read(self, timeout: float = 20.0) -> dict[bytes, bytes]:
        """Every key with its last value; deleted keys are left out. Blocks.

        Reads up to the high watermark of the moment it is called, not only to the last stable offset: another
        producer's open transaction must not hide records that were committed after it began.

        Raises:
            Transient: the broker is away, or a transaction stays open for longer than ``timeout`` seconds.

        """
        deadline = Deadline(self._clock, timeout)
        ends = self._high_watermarks(deadline)
        waiting = {partition for partition, end in ends.items() if end > 0}
        values: dict[bytes, bytes] = {}
        consumer = Consumer(
            {
                **self._config.consumer(f"{self._topic}.reader"),
                "error_cb": lambda error: self._on_error(error.name(), error.str()),
                "logger": log,
            }
        )
        try:
            consumer.assign([TopicPartition(self._topic, partition, OFFSET_BEGINNING) for partition in waiting])
            while waiting:
                if deadline.passed:
                    raise Transient(f"Kafka: {self._topic}: not read to its end in {timeout:g} s")
                for message in consumer.consume(_CHUNK, 0.2):
                    self._take(message, values, waiting, ends)
        except KafkaException as error:
            raise translated(error.args[0], f"read {self._topic}") from error
        finally:
            consumer.close()
        return values

    def _take(self, message: Message, values: dict[bytes, bytes], waiting: set[int], ends: dict[int, int]) -> None:
        partition, offset = cast(int, message.partition()), cast(int, message.offset())
        error = message.error()
        if error is not None:
            if error.code() != PARTITION_EOF:
                self._on_error(error.name(), error.str())
            elif offset >= ends.get(partition, 0):
                waiting.discard(partition)
            return
        if offset + 1 >= ends[partition]:
            waiting.discard(partition)
        key, value = message.key(), message.value()
        if key is None:
            return
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value

    def _high_watermarks(self, deadline: Deadline) -> dict[int, int]:
        admin = admin_client(self._config)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # untyped in the library
        numbers = partitions_of(admin, self._topic, max(1.0, deadline.remaining()))
        try:
            futures = admin.list_offsets(
                {TopicPartition(self._topic, number): latest for number in numbers},
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=max(1.0, deadline.remaining()),
            )
            return {place.partition: future.result().offset for place, future in futures.items()}
        except KafkaException as error:
            raise translated(error.args[0], f"look up the ends of {self._topic}") from error
