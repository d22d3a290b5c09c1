"""The table of unsubscriptions, and the subscriptions that they end."""

from __future__ import annotations

import psycopg

from services.storage.adapters.arrays import instant_array, texts
from services.storage.adapters.queries import query
from services.storage.core.part import Part
from services.storage.core.text import stored, stored_id
from services.storage.core.unsubscriptions import unsubscriptions


def record_unsubscriptions(connection: psycopg.Connection, part: Part, times: list[int]) -> dict[tuple[str, int], int]:
    """Record unsubscriptions that are new and end the subscriptions that they mean.

    Answers which event each new row comes from.
    """
    once = unsubscriptions(part)
    if not once:
        return {}
    events = [part.events[index] for index in once.values()]
    parameters = {
        "event_ids": texts(event_id for event_id, _ in once),
        "times": instant_array([times[index] for index in once.values()]),
        "emails": texts(stored(event.email_id) for event in events),
        "members": texts(stored_id(event.member_id) for event in events),
    }
    rows = connection.execute(query("record_unsubscriptions"), parameters, prepare=True)
    return {(event_id, instant): once[event_id, instant] for event_id, instant in rows}
