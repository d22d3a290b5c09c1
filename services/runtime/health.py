"""What a service knows of its own health, and the answers of its probes.

Liveness asks no dependency: a worker that waits for a broker or a database keeps stepping, so an outage
restarts nothing. Readiness tells what is not working.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from services.runtime.clock import Clock

LIVENESS_SECONDS = 60.0
"""A worker that has not stepped for so long is dead; above twice the longest legal step."""
ASKING_SECONDS = 1800.0
"""The same while it waits for the answer of a dependency, which may be frozen: a restart would mend nothing."""
USE_SECONDS = 60.0
"""A dependency has to have worked within so many seconds."""


class Dependency(msgspec.Struct):
    """The last real uses of something outside, not pings."""

    last_success: float | None = None
    last_failure: float | None = None
    error: str = ""
    resting: bool = False
    on_demand: bool = False

    def is_up(self) -> bool:
        """Whether the last use went well."""
        if self.last_success is None:
            return False
        return self.last_failure is None or self.last_failure < self.last_success

    def is_ready(self, now: float, within: float) -> bool:
        """Used with success in the last ``within`` seconds and not failed since; or not needed now.

        What is used on demand only need not have been used lately: silence is no fault of it.
        """
        if self.resting:
            return True
        if self.on_demand:
            return self.last_failure is None or self.is_up()
        return self.is_up() and now - (self.last_success or 0.0) <= within


class Health:
    """Told by the workers, asked by the probes; safe for threads."""

    def __init__(
        self,
        clock: Clock,
        *,
        dependencies: tuple[str, ...],
        workers: tuple[str, ...],
        within: float = USE_SECONDS,
        on_demand: tuple[str, ...] = (),
    ) -> None:
        """``dependencies`` and ``workers``: all that have to be well. ``within``: seconds of the last good use.

        ``on_demand``: the dependencies that are used only where there is work.
        """
        self._within = within
        self._clock = clock
        self._lock = threading.Lock()
        self._dependencies = {name: Dependency(on_demand=name in on_demand) for name in dependencies}
        self._steps = dict.fromkeys(workers, clock.monotonic())
        self._started: set[str] = set()
        self._workers = workers
        self._asking: dict[str, str] = {}
        self._draining = False

    def stepped(self, worker: str) -> None:
        """A worker has done one step of its loop, a waiting one too."""
        with self._lock:
            self._steps[worker] = self._clock.monotonic()

    @contextmanager
    def asks(self, worker: str, dependency: str) -> Iterator[None]:
        """Around a call that only the dependency can end: a frozen one must not make the worker look dead."""
        with self._lock:
            self._asking[worker] = dependency
        try:
            yield
        finally:
            with self._lock:
                del self._asking[worker]
                self._steps[worker] = self._clock.monotonic()

    def started(self, worker: str) -> None:
        """A worker has done all that comes before its first batch (topics, schema and group seen)."""
        with self._lock:
            self._started.add(worker)

    def works(self, dependency: str) -> None:
        """A dependency did what it was asked."""
        with self._lock:
            self._dependencies[dependency].last_success = self._clock.monotonic()

    def fails(self, dependency: str, error: str) -> None:
        """A dependency did not do what it was asked. ``error``: a line without secrets."""
        with self._lock:
            entry = self._dependencies[dependency]
            entry.last_failure, entry.error = self._clock.monotonic(), error[:300]

    def rests(self, dependency: str, resting: bool) -> None:  # noqa: FBT001 - it is the one thing that is said
        """A dependency is not needed at present, and so not used; that is no fault."""
        with self._lock:
            self._dependencies[dependency].resting = resting

    def drain(self) -> None:
        """The process has been told to stop: it is not ready any more. Safe in a signal handler: takes no lock."""
        self._draining = True

    def step_age(self, worker: str) -> float:
        """Seconds since a worker's last step."""
        with self._lock:
            return self._clock.monotonic() - self._steps[worker]

    def is_up(self, dependency: str) -> bool:
        """Whether a dependency's last real use went well."""
        with self._lock:
            return self._dependencies[dependency].is_up()

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The names of all."""
        return tuple(self._dependencies)

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of all."""
        return self._workers

    def live(self) -> dict[str, str]:
        """What is dead; empty if nothing is."""
        faults = {}
        for worker in self._workers:
            age = self.step_age(worker)
            if age > (ASKING_SECONDS if self._asks_now(worker) else LIVENESS_SECONDS):
                faults[worker] = f"no step for {age:.0f} s"
        return faults

    def _asks_now(self, worker: str) -> str | None:
        with self._lock:
            return self._asking.get(worker)

    def startup(self) -> dict[str, str]:
        """What has not started; empty if all has."""
        with self._lock:
            return {worker: "has not started" for worker in self._workers if worker not in self._started}

    def ready(self) -> dict[str, str]:
        """What is not ready; empty if all is."""
        faults = self.startup() | self.live()
        now = self._clock.monotonic()
        with self._lock:
            for name, entry in self._dependencies.items():
                if not entry.is_ready(now, self._within):
                    faults[name] = entry.error or f"not used with success in the last {self._within:.0f} s"
        for worker in self._workers:
            if (dependency := self._asks_now(worker)) and (age := self.step_age(worker)) > LIVENESS_SECONDS:
                faults[dependency] = f"no answer for {age:.0f} s"
        if self._draining:
            faults["shutdown"] = "draining"
        return faults
