"""Instants as the API shows them: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def iso(instant: int | None) -> str | None:
    """Microseconds since 1970 as ``2026-01-01T00:00:00.000Z``, cut to milliseconds; None stays None.

    What no calendar has (a record may hold any number) is shown as the nearest that it has.
    """
    if instant is None:
        return None
    return (
        (_EPOCH + timedelta(microseconds=min(max(instant, _FIRST), _LAST)))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
