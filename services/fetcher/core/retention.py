"""What Mailgun has forgotten already: it clips a begin that is older than its retention, and says nothing.

All instants are microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from services.fetcher.core.cursor import SECOND

_HOUR = 3_600 * SECOND


def is_clipped(begin: int, now: int, retention: int) -> bool:
    """Whether a begin is older than what Mailgun keeps. ``retention``: how long it does."""
    return begin < now - retention


def explanation(begin: int, end: int, started_at: int, retention: int) -> str | None:
    """What of a range was beyond the retention when it was started, in a sentence; None if nothing was.

    It depends on nothing but what is kept of a schedule, so that it is the same after a restart.
    """
    edge = started_at - retention
    if begin >= edge:
        return None
    beyond = "the whole range is" if end <= edge else f"the first {_span(edge - begin)} of the range are"
    return f"{beyond} beyond Mailgun's retention of {_span(retention)}; only what it still shows is fetched"


def _span(micros: int) -> str:
    if micros >= _HOUR:
        return f"{round(micros / _HOUR, 1):g} h"
    if micros >= 60 * SECOND:
        return f"{round(micros / 60 / SECOND, 1):g} min"
    return f"{round(micros / SECOND, 3):g} s"
