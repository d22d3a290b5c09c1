"""The consumer groups as Kafka tells them, asked once a second at most, however many want to know."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

from services.console.core.consumers import (
    READS,
    SERVICES,
    ConsumerRow,
    Lag,
    ServiceRow,
    consumer_row,
    service_row,
)
from services.contracts import topics
from services.runtime.bus.groups import Groups
from services.runtime.clock import Clock
from services.runtime.errors import Transient

FRESH_SECONDS = 1.0
EVERY_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
T = TypeVar("T")


class Consumers:
    """Lag and members of the services' groups. Safe for threads."""

    def __init__(self, groups: Groups, prefix: str, clock: Clock) -> None:
        """``prefix``: of topics and groups."""
        self._groups, self._prefix, self._clock = groups, prefix, clock
        self._asking = Lock()
        self._lags: _Kept[list[Lag]] = _Kept(clock)
        self._services: _Kept[list[ServiceRow]] = _Kept(clock)

    def lags(self) -> list[ConsumerRow]:
        """Every partition of every group, by group, topic and number. Blocks for Kafka, some seconds at most.

        Raises:
            Transient: Kafka is away, or a topic is missing.

        """
        with self._asking:
            lags = self._lags.get(self._ask_lags)
        now = self._clock.now()
        return [consumer_row(lag, now) for lag in lags]

    def services(self) -> list[ServiceRow]:
        """Every service and whether it is there. Blocks and raises like :meth:`lags`."""
        with self._asking:
            return self._services.get(self._ask_services)

    def _ask_lags(self) -> list[Lag]:
        lags: list[Lag] = []
        for service, read in READS.items():
            group, names = f"{self._prefix}{service}", [topics.prefixed(self._prefix, topic) for topic in read]
            found = self._groups.lag(group, names)
            lags += [Lag(group, each.topic, each.partition, each.messages, each.oldest_ms) for each in found]
        return sorted(lags, key=lambda lag: (lag.group, lag.topic, lag.partition))

    def _ask_services(self) -> list[ServiceRow]:
        members = self._groups.members([f"{self._prefix}{service}" for service in SERVICES])
        return [service_row(service, members[f"{self._prefix}{service}"]) for service in SERVICES]

    def close(self) -> None:
        """Let the clients go; a question that is under way ends with the process. Blocks a second or two."""
        if self._asking.acquire(timeout=_CLOSE_SECONDS):
            self._groups.close()
            self._asking.release()


class _Kept(Generic[T]):
    """An answer that is good for a second; so is a failure, since to fail takes long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: T | Transient | None = None
        self._at = 0.0

    def get(self, ask: Callable[[], T]) -> T:
        """The kept answer, or a new one."""
        if self._kept is None or self._clock.monotonic() - self._at > FRESH_SECONDS:
            try:
                self._kept = ask()
            except Transient as error:
                self._kept = error
            self._at = self._clock.monotonic()
        if isinstance(self._kept, Transient):
            raise self._kept
        return self._kept


class ConsumersSource:
    """The lags for the stream."""

    name = "consumers"
    every_seconds = EVERY_SECONDS

    def __init__(self, consumers: Consumers) -> None:
        self._consumers = consumers

    def snapshot(self) -> Any:
        """All of them."""
        return {"consumers": self._consumers.lags()}


class ServicesSource:
    """The services for the stream."""

    name = "services"
    every_seconds = EVERY_SECONDS

    def __init__(self, consumers: Consumers) -> None:
        self._consumers = consumers

    def snapshot(self) -> Any:
        """All of them."""
        return {"services": self._consumers.services()}
