"""Instants as the API shows them: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(instant: int | None) -> str | None:
    """Microseconds since 1970 as ``2026-01-01T00:00:00.000Z``, cut to milliseconds; None stays None."""
    if instant is None:
        return None
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
