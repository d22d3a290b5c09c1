"""The stored accounting: where each partition stands and what has been counted."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from services.storage.adapters.queries import query
from services.storage.core.outcomes import Total


def take_offsets(connection: psycopg.Connection, topic: str, next_offsets: Mapping[int, int]) -> dict[int, int]:
    """Move the partitions' next offsets on, never back; answers where each stood before.

    Blocks while another transaction has one of the partitions.
    """
    parameters = {
        "topic": topic,
        "partitions": list(next_offsets),
        "next_offsets": list(next_offsets.values()),
    }
    return dict(connection.execute(query("take_offsets"), parameters).fetchall())


def add_totals(connection: psycopg.Connection, counted: Mapping[Total, int]) -> None:
    """Add to the stored totals."""
    if not counted:
        return
    parameters = {
        "event_types": [total.event_type for total in counted],
        "loops": [total.loop for total in counted],
        "outcomes": [total.verdict.result.value for total in counted],
        "reasons": [total.verdict.reason.value if total.verdict.reason else "" for total in counted],
        "events": list(counted.values()),
    }
    connection.execute(query("add_totals"), parameters)
