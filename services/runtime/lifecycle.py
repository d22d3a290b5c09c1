"""How a service process lives: signals, probes, the loop of steps, a graceful end.

A stop finishes the step it finds. A step of Kafka takes 20 s at most, so it fits into a pod's grace period of 45 s, and
that into max.poll.interval.ms (120 s). A step that waits for a frozen database may take longer: the group then gives
its partitions to another member, and what it had not committed is done again.
"""

from __future__ import annotations

import random
import signal
import uuid
from collections.abc import Callable
from threading import Event
from types import FrameType
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry

from services.contracts.registry import IncompatibleSchema
from services.runtime import logs
from services.runtime.clock import Clock, SystemClock
from services.runtime.errors import Fatal
from services.runtime.health import USE_SECONDS, Health
from services.runtime.http import ProbeServer
from services.runtime.metrics import HealthCollector, show_build
from services.runtime.settings import HttpSettings

_log = logs.get("lifecycle")


class App(Protocol):
    """A service, ready to be stepped."""

    def step(self) -> None:
        """Do a bounded piece of work, or wait for some, for half a second or so."""

    def close(self) -> None:
        """Let go of everything; what is not finished is done again after the next start."""


class Server(Protocol):
    """What answers the probes, and perhaps more."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def close(self) -> None:
        """Stop listening; blocks for a few seconds at most."""


class Chassis(msgspec.Struct, frozen=True):
    """What the process gives to the app that is built in it."""

    service: str
    instance: str
    """An id of this process alone."""
    clock: Clock
    random: Callable[[], float]
    registry: CollectorRegistry
    health: Health
    stop: Event
    """Set when the process is to end: long waits end by it."""


class Stop:
    """Sets an event at the first SIGTERM or SIGINT; the second one ends the process at once."""

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        """``told``: called at the first signal, from its handler: must neither block nor take a lock."""
        self.event, self._told = Event(), told
        self._before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in self._before:
            signal.signal(number, self._first)

    def _first(self, _number: int, _frame: FrameType | None) -> None:
        self._told()
        self.event.set()
        self.restore()

    def restore(self) -> None:
        """The handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def run(
    service: str,
    settings: HttpSettings,
    build: Callable[[Chassis], App],
    *,
    dependencies: tuple[str, ...],
    workers: tuple[str, ...],
    use_within: float = USE_SECONDS,
    listen: Callable[[], Server] | None = None,
) -> int:
    """Run a service until it is told to stop; its exit code. Blocks.

    ``listen``: opens the port of a service that serves more than the probes, and has to serve them too; it raises
    Fatal where it cannot. Such a service begins to answer when its app is built.

    0: stopped as told. 1: something only a person can mend, said in the log.
    """
    clock = SystemClock()
    health = Health(clock, dependencies=dependencies, workers=workers, within=use_within, on_demand=("database",))
    stop = Stop(health.drain)
    registry = CollectorRegistry()
    show_build(registry, service)
    registry.register(HealthCollector(service, health, clock))
    chassis = Chassis(service, uuid.uuid4().hex[:12], clock, random.random, registry, health, stop.event)
    try:
        server = listen() if listen else ProbeServer(settings.http_host, settings.http_port, health, registry)
    except Fatal as error:
        stop.restore()
        _log.critical("cannot_start", error=str(error))
        return 1
    _log.info("started", http_port=server.port, instance=chassis.instance)
    try:
        return _loop(chassis, build)
    finally:
        server.close()
        stop.restore()


def _loop(chassis: Chassis, build: Callable[[Chassis], App]) -> int:
    app: App | None = None
    ended_well = False
    try:
        app = build(chassis)
        while not chassis.stop.is_set():
            app.step()
        ended_well = True
    except (Fatal, IncompatibleSchema) as error:
        _log.critical("cannot_go_on", error=str(error))
    except Exception:
        _log.critical("crashed", exc_info=True)
    chassis.health.drain()
    if app is not None:
        ended_well &= _closed(app)
    _log.info("stopped")
    return 0 if ended_well else 1


def _closed(app: App) -> bool:
    try:
        app.close()
    except Exception:
        # Nothing is lost by it: what is not finished is done again after the next start.
        _log.critical("close_failed", exc_info=True)
        return False
    return True
