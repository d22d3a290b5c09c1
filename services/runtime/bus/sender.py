"""Writes single records, each for itself, and waits until Kafka has them."""

from __future__ import annotations

from threading import Lock

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.runtime.bus.api import Outgoing
from services.runtime.bus.client import ErrorHook, log, misconfigured, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.errors import Transient

SEND_SECONDS = 8.0
_OVERDUE_SECONDS = 2.0


class Sender:
    """An idempotent producer for records that come now and then. Safe for threads."""

    def __init__(self, config: KafkaConfig, *, on_error: ErrorHook, seconds: float = SEND_SECONDS) -> None:
        """``seconds``: how long a record may take before it is given up."""
        self._config, self._on_error, self._seconds = config, on_error, seconds
        self._producer: Producer | None = None
        self._lock = Lock()

    def send(self, record: Outgoing) -> None:
        """Write a record. Blocks until all replicas in sync have it.

        Raises:
            Transient: it was given up; in rare cases (the answer was lost) it is there all the same.

        """
        reports: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            reports.append(error)

        with self._lock:
            producer = self._producer = self._producer or self._made()
            try:
                producer.produce(
                    record.topic, record.value, record.key, headers=list(record.headers) or None, on_delivery=delivered
                )
                producer.flush(self._seconds + _OVERDUE_SECONDS)
            except (KafkaException, BufferError) as error:
                self._producer = None
                raise Transient(f"Kafka: write to {record.topic}: {error}") from error
            if not reports:
                self._producer = None
                raise Transient(f"Kafka: write to {record.topic}: no answer")
            if reports[0] is not None:
                self._producer = None  # what follows a lost record begins anew
                raise translated(reports[0], f"write to {record.topic}")

    def _made(self) -> Producer:
        try:
            return Producer(
                {
                    **self._config.producer(),
                    "message.timeout.ms": int(self._seconds * 1000),
                    "linger.ms": 0,
                    "error_cb": lambda error: self._on_error(error.name(), error.str()),
                    "logger": log,
                }
            )
        except KafkaException as error:
            raise misconfigured(error) from error

    def close(self) -> None:
        """Let the producer go. Blocks a second at most."""
        with self._lock:
            producer, self._producer = self._producer, None
            if producer is not None:
                producer.flush(1.0)
