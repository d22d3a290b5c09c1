"""A consumer and the producer that answers it: what a worker needs of Kafka, opened and closed together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.runtime.bus.api import Outgoing, Partition
from services.runtime.bus.client import ErrorHook
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.producer import TransactionalProducer
from services.runtime.clock import Clock, Deadline

FINISH_SECONDS = 15.0
"""For the transaction of a batch; to abort it may take 5 s more."""

Told = Callable[[list[Partition]], None]


class Session:
    """Reads as a member of a group; writes what comes of it together with the offsets.

    A batch that leads to no record needs no transaction, only its offsets committed: there is nothing else that
    would have to happen with them. So the producer is made when it is first needed.
    """

    def __init__(
        self, config: KafkaConfig, *, group: str, topics: Sequence[str], transactional_id: str, clock: Clock
    ) -> None:
        """``transactional_id``: of this process alone; each session adds nothing to it, so a new one fences the old."""
        self._config, self._group, self._topics = config, group, topics
        self._transactional_id, self._clock = transactional_id, clock
        self._producer: TransactionalProducer | None = None
        self._consumer: GroupConsumer | None = None
        self._is_unsettled = False
        self._on_error: ErrorHook = lambda _name, _text: None

    def open(self, *, on_error: ErrorHook, on_assigned: Told, on_revoked: Told) -> GroupConsumer:
        """A new consumer; the group is joined by its polls. Blocks where an earlier producer has to be fenced first.

        What that one left open would hide the committed offsets from the new member until it times out, and what it
        had sent and nobody has answered must be decided before they are read.

        Raises:
            Transient: the transactions' coordinator is away; open again later.

        """
        self._on_error = on_error
        if self._is_unsettled:
            self._open_producer(FINISH_SECONDS)
        self._consumer = GroupConsumer(
            self._config,
            self._group,
            self._topics,
            on_error=on_error,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
        )
        return self._consumer

    def finish(self, consumer: GroupConsumer, outgoing: Sequence[Outgoing], offsets: Mapping[Partition, int]) -> None:
        """Write the records and commit the offsets: both or neither. Blocks.

        Raises:
            Transient, SessionLost: neither happened.

        """
        if not outgoing:
            consumer.commit(offsets)
            return
        deadline = Deadline(self._clock, FINISH_SECONDS)
        producer = self._producer or self._open_producer(deadline.remaining())
        producer.commit(outgoing, offsets, consumer.group_metadata(), deadline.remaining())

    def _open_producer(self, timeout: float) -> TransactionalProducer:
        producer = TransactionalProducer(
            self._config, self._transactional_id, clock=self._clock, on_error=self._on_error
        )
        producer.open(timeout)
        self._producer, self._is_unsettled = producer, False
        return producer

    def close(self) -> None:
        """Close both clients. Blocks for some seconds at most."""
        if self._producer is not None:
            self._producer.close()
            self._producer, self._is_unsettled = None, True
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
