"""A clock that a test moves."""

from __future__ import annotations


class HeldClock:
    """Stands still until it is moved. See :class:`services.runtime.clock.Clock`."""

    def __init__(self, now: float = 1_787_220_000.0) -> None:
        self._now, self._monotonic = now, 1000.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some instant."""
        return self._monotonic

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds

    def set_wall(self, now: float) -> None:
        """Set the wall clock, as somebody may set the machine's."""
        self._now = now
