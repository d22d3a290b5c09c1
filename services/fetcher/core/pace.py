"""How fast the account may be asked: a bound on the rate, one cooldown for all, and whose turn it is.

Pure: time comes in as seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

MOST_TOLD_SECONDS = 3600.0
"""However long Mailgun tells us to wait: never more than an hour."""
_MILLISECONDS_FROM = 1e11
_OTHERS_EVERY = 10


class Pace:
    """When the next request may leave, for all loops of the account together."""

    def __init__(self, per_second: float) -> None:
        """``per_second``: requests; 0 for no bound."""
        self._gap = 1.0 / per_second if per_second > 0 else 0.0
        self._next = 0.0
        self._cooldown_until = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a request may leave; 0 for at once."""
        return max(0.0, max(self._next, self._cooldown_until) - now)

    def cooldown(self, now: float) -> float:
        """Seconds that the shared cooldown still lasts."""
        return max(0.0, self._cooldown_until - now)

    def left(self, now: float) -> None:
        """A request leaves now. Unused time is no credit: requests are spread, not bunched."""
        self._next = max(self._next, now) + self._gap

    def cool(self, now: float, seconds: float) -> float:
        """All loops wait for so many seconds, or longer if they wait already; by how much that is longer."""
        before = max(self._cooldown_until, now)
        self._cooldown_until = max(before, now + min(seconds, MOST_TOLD_SECONDS))
        return self._cooldown_until - before


class Turns:
    """Whose request goes first: the latest loops, but one of ten goes to the others, so that none starves."""

    def __init__(self) -> None:
        self._since_other = 0

    def choose(self, urgent: Sequence[bool]) -> int:
        """The position of the request to send, of those that wait in order of arrival; there is at least one."""
        first_urgent = next((at for at, is_urgent in enumerate(urgent) if is_urgent), None)
        first_other = next((at for at, is_urgent in enumerate(urgent) if not is_urgent), None)
        if first_urgent is None or (first_other is not None and self._since_other >= _OTHERS_EVERY - 1):
            self._since_other = 0
            return first_other if first_other is not None else 0
        self._since_other += 1
        return first_urgent


def most_others(concurrency: int) -> int:
    """How many requests that are not urgent may be under way at once: one connection is kept for the urgent ones."""
    return max(1, concurrency - 1)


def told_to_wait(headers: dict[str, str], now: float) -> float | None:
    """Seconds that an answer says to wait, the later of Retry-After and X-RateLimit-Reset; None if neither says.

    ``headers``: names in lower case. ``now``: seconds since 1970 UTC. Retry-After is seconds or an HTTP date;
    the reset is an instant in seconds or, from 1e11 on, in milliseconds (sources disagree, so both are taken).
    """
    hints = [hint for hint in (_retry_after(headers.get("retry-after"), now), _reset(headers, now)) if hint is not None]
    return min(MOST_TOLD_SECONDS, max(0.0, *hints)) if hints else None


def _retry_after(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    try:
        return _finite(float(text))
    except ValueError:
        try:
            return parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None


def _reset(headers: dict[str, str], now: float) -> float | None:
    try:
        instant = _finite(float(headers["x-ratelimit-reset"]))
    except (KeyError, ValueError):
        return None
    if instant is None:
        return None
    return (instant / 1000 if instant >= _MILLISECONDS_FROM else instant) - now


def _finite(number: float) -> float | None:
    return number if abs(number) < 1e18 else None
