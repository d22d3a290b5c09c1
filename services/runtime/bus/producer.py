"""A transactional producer, on librdkafka."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from services.runtime.bus.api import Outgoing, Partition
from services.runtime.bus.client import ErrorHook, log, misconfigured, positions, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.clock import Clock, Deadline
from services.runtime.errors import SessionLost, Transient

_ABORT_SECONDS = 5.0
_OVERDUE_SECONDS = 1.0


class TransactionalProducer:
    """A producer that writes records and the offsets of what they were made from together, or not at all."""

    def __init__(self, config: KafkaConfig, transactional_id: str, *, clock: Clock, on_error: ErrorHook) -> None:
        self._clock = clock
        settings = {
            **config.producer(transactional_id),
            "error_cb": lambda error: on_error(error.name(), error.str()),
            "logger": log,
        }
        try:
            self._producer = Producer(settings)
        except KafkaException as error:
            raise misconfigured(error) from error

    def open(self, timeout: float = 20.0) -> None:
        """Fence every earlier producer of this transactional id and end its open transaction. Blocks.

        Raises:
            Transient: the coordinator is away; ask again.

        """
        deadline = Deadline(self._clock, timeout)
        self._retrying(lambda: self._producer.init_transactions(max(1.0, deadline.remaining())), "open", deadline)

    def commit(
        self, records: Sequence[Outgoing], offsets: Mapping[Partition, int], group_metadata: Any, timeout: float = 20.0
    ) -> None:
        """Write the records and commit the offsets in one transaction. Blocks until Kafka has both.

        Without offsets the records alone make the transaction, and ``group_metadata`` is not looked at.

        Raises:
            Transient: nothing was written; the same can be done again (after a rebalance perhaps by somebody else).
            SessionLost: this producer is of no use any more; what became of the transaction is decided when the next
                one of its id opens, and told by what is committed then.

        """
        deadline = Deadline(self._clock, timeout)
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record, deadline)
            if offsets:
                self._send_offsets(offsets, group_metadata, deadline)
            self._retrying(
                lambda: self._producer.commit_transaction(max(1.0, deadline.remaining())), "commit", deadline
            )
        except SessionLost:
            raise  # Only a new producer, with a new epoch, ends this transaction.
        except Transient:
            self._abort()
            raise
        except KafkaException as error:
            self._abort()
            raise translated(error.args[0], "transaction") from error

    def _produce(self, record: Outgoing, deadline: Deadline) -> None:
        while True:
            try:
                self._producer.produce(record.topic, record.value, record.key, headers=list(record.headers) or None)
            except BufferError:
                if deadline.passed:
                    raise Transient("Kafka: the producer's queue stays full; is the broker away?") from None
                self._producer.poll(0.05)
            else:
                return

    def _send_offsets(self, offsets: Mapping[Partition, int], group_metadata: Any, deadline: Deadline) -> None:
        """Block until the deadline and no longer.

        librdkafka (2.16, its issue 5456) forgets this call's time-out while the group's coordinator is away, and may
        never return: the call has a thread of its own, which is left behind with the producer if it hangs.
        """
        done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def send() -> None:
            try:
                self._retrying(
                    lambda: self._producer.send_offsets_to_transaction(
                        positions(offsets), group_metadata, max(1.0, deadline.remaining())
                    ),
                    "send offsets",
                    deadline,
                )
            except BaseException as error:
                done.put(error)
            else:
                done.put(None)

        threading.Thread(target=send, name="send-offsets", daemon=True).start()
        try:
            failure = done.get(timeout=deadline.remaining() + _OVERDUE_SECONDS)
        except queue.Empty:
            raise SessionLost("Kafka: send offsets: no answer; is the group's coordinator away?") from None
        if failure is not None:
            raise failure

    def _retrying(self, call: Callable[[], object], doing: str, deadline: Deadline) -> None:
        """What librdkafka calls retriable is done by calling the same again."""
        while True:
            try:
                call()
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.fatal() or reason.txn_requires_abort() or not reason.retriable() or deadline.passed:
                    raise translated(reason, doing) from error
            else:
                return

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(_ABORT_SECONDS)
        except KafkaException as error:
            # Not even that: only a new producer, with a new epoch, can tell what became of the transaction.
            raise SessionLost(f"Kafka: abort: {error.args[0].name()}: {error.args[0].str()}") from error

    def close(self) -> None:
        """Throw away what is still queued. Blocks a second at most; a fenced producer closes like any other."""
        with contextlib.suppress(KafkaException):
            self._producer.purge()
            self._producer.flush(1.0)
