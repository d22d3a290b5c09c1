"""How a worker is put together: what its handler counts into comes before the handler, the worker after it."""

from __future__ import annotations

from services.runtime.bus.config import KafkaConfig
from services.runtime.deadletter import StormGuard
from services.runtime.lifecycle import Chassis
from services.runtime.metrics import LagCollector, WorkerMetrics
from services.runtime.session import Session
from services.runtime.settings import ConsumerSettings
from services.runtime.worker import Handler, Instruments, Limits, Worker


class Assembly:
    """The parts of one service's worker that are not its own; its metrics are registered at once."""

    def __init__(self, settings: ConsumerSettings, chassis: Chassis, *, group: str, topics: tuple[str, ...]) -> None:
        """``group``: without the prefix. ``topics``: those that are read, with it."""
        self._settings, self._chassis, self._topics = settings, chassis, topics
        self.group = f"{settings.topic_prefix}{group}"
        """The consumer group, with the prefix."""
        self.metrics = WorkerMetrics(chassis.registry, service=chassis.service, group=self.group, topics=topics)
        self._lag = LagCollector(self.group, chassis.clock)
        chassis.registry.register(self._lag)

    def worker(self, handler: Handler, limits: Limits) -> Worker:
        """The worker that drives this handler, ready to be stepped. To be asked for once."""
        settings, chassis = self._settings, self._chassis
        session = Session(
            KafkaConfig.of(settings),
            group=self.group,
            topics=self._topics,
            transactional_id=f"{settings.topic_prefix}{chassis.service}-{chassis.instance}",
            clock=chassis.clock,
        )
        return Worker(
            handler,
            session,
            limits,
            StormGuard(ratio=settings.dlq_stop_ratio, window=settings.dlq_stop_window),
            Instruments(chassis.health, self.metrics, self._lag),
            clock=chassis.clock,
            random=chassis.random,
        )
