"""The table of failures."""

from __future__ import annotations

import psycopg

from services.contracts.events import FailureEvent
from services.storage.adapters.arrays import instant_array, texts
from services.storage.adapters.queries import query
from services.storage.core.failures import failures, told
from services.storage.core.part import Part
from services.storage.core.text import stored_event_id


def record_failures(connection: psycopg.Connection, part: Part, times: list[int]) -> dict[str, int]:
    """Keep the failures of recipients that are there; answers which event each changed row now comes from."""
    kept = failures(part)
    if not kept:
        return {}
    events = [event for event in (part.events[index] for index in kept.values()) if isinstance(event, FailureEvent)]
    said = [told(event) for event in events]
    parameters = {
        "recipients": texts(kept),
        "severities": texts(each.severity for each in said),
        "codes": [each.code for each in said],
        "enhanced_codes": texts(each.enhanced_code for each in said),
        "messages": texts(each.message for each in said),
        "times": instant_array([times[index] for index in kept.values()]),
        "event_ids": texts(stored_event_id(event.event_id) for event in events),
    }
    rows = connection.execute(query("record_failures"), parameters, prepare=True)
    return {key: kept[key] for (key,) in rows}
