"""Dead letters for tests, as the services write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.testclient import TestClient

from services.console.adapters.dead_letters import DeadLettersSource
from services.console.adapters.replays import Replays
from services.console.api import dead_letters as api
from services.contracts import topics
from services.contracts.reasons import DeadReason, Stage
from services.runtime.bus.api import Outgoing
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.producer import TransactionalProducer
from services.runtime.clock import SystemClock
from services.runtime.codecs import codec_for
from services.runtime.deadletter import DeadLetters, Origin

CLOCK = SystemClock()
MEGABYTE = 1024 * 1024


def ignore(_name: str, _text: str) -> None:
    """What a client tells of the background is of no interest here."""


class DeadLetterTopics:
    """Writes dead letters, and sees them as the console does. Closed at the end."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix, self.registry = bootstrap, prefix, CollectorRegistry()
        self.config = KafkaConfig(bootstrap)
        self.source = DeadLettersSource(self.config, codec_for(None), prefix, clock=CLOCK)
        self.replays = self.another_replayer(self.registry)
        self.client = TestClient(Starlette(routes=api.routes(self.source, self.replays)))

    def another_replayer(self, registry: CollectorRegistry | None = None) -> Replays:
        """One as another process has it."""
        return Replays(self.config, codec_for(None), self.prefix, clock=CLOCK, registry=registry or CollectorRegistry())

    def letter(
        self,
        value: bytes | None,
        *,
        key: bytes | None = b"k",
        reason: DeadReason = DeadReason.NOT_JSON,
        of: str = topics.RAW,
        offset: int = 7,
        most_bytes: int = MEGABYTE,
    ) -> Outgoing:
        """The dead letter of a value that was at ``offset`` of partition 2 of its first topic."""
        dlq, stage = (topics.RAW_DLQ, Stage.PROCESSOR) if of == topics.RAW else (topics.EMAIL_EVENTS_DLQ, Stage.STORAGE)
        origin = Origin(topics.prefixed(self.prefix, of), 2, offset, 1_767_268_800_123)
        letters = DeadLetters(topics.prefixed(self.prefix, dlq), stage, most_bytes=most_bytes)
        return letters.of(key, value, origin, reason, "it is\nbad")

    @contextmanager
    def writer(self) -> Iterator[TransactionalProducer]:
        """A producer of transactions, whose marks take offsets too."""
        producer = TransactionalProducer(self.config, f"{self.prefix}writer", clock=CLOCK, on_error=ignore)
        producer.open()
        try:
            yield producer
        finally:
            producer.close()

    def write(self, *batches: list[Outgoing]) -> None:
        """Write letters, each list in a transaction."""
        with self.writer() as producer:
            for batch in batches:
                producer.commit(batch, {}, None)
        # A transaction is seen a moment after its commit; its producer's successor waits for that.
        with self.writer():
            pass

    def close(self) -> None:
        """Close what reads them."""
        self.source.close()
