"""Applies the events again that Kafka still has: the same worker as storage's, in a group of its own, to an end."""

from __future__ import annotations

import random
import uuid
from threading import Event

from prometheus_client import CollectorRegistry

from services.contracts import topics
from services.contracts.codec import Codec
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, spans_of
from services.runtime.clock import Clock
from services.runtime.health import Health
from services.runtime.lifecycle import Chassis
from services.runtime.worker import WORKER
from services.storage.app import DEPENDENCIES, build
from services.storage.core.goal import Goal, Stretch
from services.storage.settings import StorageSettings

GROUP = "storage-rebuild-"
"""What the consumer group of a run begins with, after the prefix; its end is the run's id."""


class Rebuild:
    """One process's part in a run. Storage's own group, its partitions and its offsets are not touched.

    What storage has counted is not counted again, since a record below the stored offset never is; what storage has
    not come to yet is counted here, once, and storage will find it below the stored offset.
    """

    def __init__(self, settings: StorageSettings, codec: Codec, run_id: str, clock: Clock, stop: Event) -> None:
        """Looks up how far it has to go. Blocks.

        Raises:
            Transient: Kafka is away or has no such topic.
            Fatal: a setting of Kafka's is wrong.

        """
        self._topic = topics.prefixed(settings.topic_prefix, topics.EMAIL_EVENTS)
        spans = spans_of(admin_client(KafkaConfig.of(settings)), self._topic)
        self.goal = Goal({number: Stretch(span.begin, span.end) for number, span in spans.items()})
        self._registry = CollectorRegistry()
        health = Health(clock, dependencies=DEPENDENCIES, workers=(WORKER,), on_demand=("database",))
        instance = f"rebuild-{uuid.uuid4().hex[:12]}"
        chassis = Chassis("storage", instance, clock, random.random, self._registry, health, stop)
        self._app = build(settings, codec, chassis, group=f"{GROUP}{run_id}")

    def step(self) -> None:
        """Apply a batch, or wait for one or for what is away: half a second or so. See :class:`StorageApp`."""
        self._app.step()
        self.goal.came({number: offset for (_, number), offset in self._app.done_through().items()})

    def close(self) -> None:
        """Leave the group; what was not committed comes again when the run goes on."""
        self._app.close()

    @property
    def events(self) -> int:
        """Events that this process has applied."""
        return self._counted("mailriver_consumer_records_total") - self.dead

    @property
    def dead(self) -> int:
        """Records that became dead letters instead."""
        return self._counted("mailriver_deadletter_records_total")

    def _counted(self, name: str) -> int:
        samples = (sample for metric in self._registry.collect() for sample in metric.samples)
        return int(sum(sample.value for sample in samples if sample.name == name))
