"""How long to wait before the next try: exponential, with full jitter, bounded."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """The pauses of one thing that keeps failing, until it succeeds."""

    def __init__(self, *, first: float, most: float, random: Callable[[], float]) -> None:
        """``first`` and ``most``: seconds. ``random``: uniform in [0, 1)."""
        self._first, self._most, self._random = first, most, random
        self.failures = 0

    def failed(self, told: float | None = None) -> float:
        """Note a failure; the seconds to wait: between half and the whole of the step, at least what we were told."""
        step = min(self._most, self._first * 2 ** min(self.failures, 32))
        self.failures += 1
        pause: float = step * (0.5 + self._random() / 2)
        return max(pause, told or 0.0)

    def succeeded(self) -> None:
        """Note a success: the next failure starts from the first pause again."""
        self.failures = 0
