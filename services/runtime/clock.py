"""Time, handed to whoever needs it, so that tests can hold it still."""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol


class Clock(Protocol):
    """What a service may know of time."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds since some instant; never goes back. For durations and deadlines."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """See :class:`Clock`."""
        return time.time()  # noqa: TID251 - this is the clock that everybody else is given

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.monotonic()  # noqa: TID251 - this is the clock that everybody else is given


def micros(clock: Clock) -> int:
    """Now, in microseconds since 1970-01-01 UTC."""
    return int(clock.now() * 1_000_000)


class Deadline:
    """One budget of seconds, spent by each call that waits in turn."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._ends = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left; 0 when it has passed."""
        return max(0.0, self._ends - self._clock.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.remaining() == 0.0


def rest(stop: Event, seconds: float) -> bool:
    """Wait ``seconds``, or until ``stop`` is set; True if it was. Blocks."""
    return stop.wait(seconds)
