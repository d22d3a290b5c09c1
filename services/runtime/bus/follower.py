"""Reads topics from their beginning and goes on with what comes, for whoever keeps a picture of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from services.runtime.bus.api import Partition, Record
from services.runtime.bus.client import PARTITION_EOF, ErrorHook, log, misconfigured, record_of, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of

_CHUNK = 2_000
_PROOF_SECONDS = 3.0


class Follower:
    """Every committed record of some topics, from the first one on. Joins no group and commits nothing.

    Used from one thread. While the broker is away it simply gets nothing; librdkafka reconnects by itself.
    """

    def __init__(self, config: KafkaConfig, topics: Sequence[str], *, on_error: ErrorHook) -> None:
        """``topics``: with their prefix."""
        self._config, self._topics, self._on_error = config, topics, on_error
        self._consumer: Consumer | None = None
        self._places: list[Partition] = []
        self._unread: set[Partition] = set()
        self._next: dict[Partition, int] = {}

    def open(self, timeout: float = 5.0) -> None:
        """Begin to read, or go on after what has :meth:`passed`. Blocks until the broker tells the partitions.

        Raises:
            Transient: it does not, or a topic is missing.

        """
        admin = admin_client(self._config)
        self._places = [(topic, number) for topic in self._topics for number in partitions_of(admin, topic, timeout)]
        self._unread = set(self._places)
        try:
            self._consumer = Consumer(
                {
                    **self._config.consumer(f"{self._topics[0]}.follower"),
                    "error_cb": lambda error: self._on_error(error.name(), error.str()),
                    "logger": log,
                }
            )
        except KafkaException as error:
            raise misconfigured(error) from error
        self._consumer.assign(
            [TopicPartition(*place, self._next.get(place, OFFSET_BEGINNING)) for place in self._places]
        )

    @property
    def is_open(self) -> bool:
        """Whether it reads."""
        return self._consumer is not None

    @property
    def caught_up(self) -> bool:
        """Whether every partition has been read to its end once since :meth:`open`."""
        return self.is_open and not self._unread

    def poll(self, timeout: float) -> list[Record]:
        """The records that came, in each partition's order. Blocks ``timeout`` seconds at most.

        Raises:
            Transient: this consumer is of no use any more; close and open it.

        """
        records = []
        try:
            messages = self._open_one().consume(_CHUNK, timeout)
        except KafkaException as error:
            raise translated(error.args[0], "follow") from error
        for message in messages:
            failure = message.error()
            if failure is None:
                records.append(record_of(message))
            elif failure.code() == PARTITION_EOF:
                self._unread.discard((cast(str, message.topic()), cast(int, message.partition())))
            else:
                self._on_error(failure.name(), failure.str())
        return records

    def passed(self, records: Sequence[Record]) -> None:
        """These are done with: they do not come again, whatever happens to this consumer."""
        for record in records:
            self._next[record.place] = record.offset + 1

    def prove(self) -> None:
        """Ask the broker something, since silence could be an outage as well. Blocks three seconds at most.

        Raises:
            Transient: no answer.

        """
        try:
            self._open_one().get_watermark_offsets(
                TopicPartition(*self._places[0]), timeout=_PROOF_SECONDS, cached=False
            )
        except KafkaException as error:
            raise translated(error.args[0], "ask for the end of a topic") from error

    def _open_one(self) -> Consumer:
        if self._consumer is None:
            self.open()
        return cast(Consumer, self._consumer)

    def close(self) -> None:
        """Stop reading, until :meth:`open`."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
