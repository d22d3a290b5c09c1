"""The tables of complaints and suppressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg

from services.contracts.events import EmailEvent
from services.storage.adapters.arrays import instant_array, texts
from services.storage.adapters.queries import query
from services.storage.core.part import Part
from services.storage.core.suppressions import complaints, suppressed_members, suppression_reason, suppressions
from services.storage.core.text import stored, stored_event_id


def record_complaints(connection: psycopg.Connection, part: Part, times: list[int]) -> dict[tuple[str, str], int]:
    """Keep the earliest complaint of each member about an email; answers what each changed row comes from."""
    earliest = complaints(part)
    if not earliest:
        return {}
    events = _events(part, earliest.values())
    parameters = {
        "emails": texts(email_id for email_id, _ in earliest),
        "members": texts(member_id for _, member_id in earliest),
        "addresses": texts(stored(event.recipient) for event in events),
        "times": instant_array([times[index] for index in earliest.values()]),
        "event_ids": texts(stored_event_id(event.event_id) for event in events),
    }
    rows = connection.execute(query("record_complaints"), parameters, prepare=True)
    return {(email_id, member_id): earliest[email_id, member_id] for email_id, member_id in rows}


def record_suppressions(connection: psycopg.Connection, part: Part, times: list[int]) -> dict[str, int]:
    """Keep what first suppressed each address; answers what each changed row comes from."""
    earliest = suppressions(part)
    if not earliest:
        return {}
    events = _events(part, earliest.values())
    parameters = {
        "addresses": texts(earliest),
        "reasons": texts(suppression_reason(event) for event in events),
        "emails": texts(stored(event.email_id) for event in events),
        "times": instant_array([times[index] for index in earliest.values()]),
        "event_ids": texts(stored_event_id(event.event_id) for event in events),
    }
    rows = connection.execute(query("record_suppressions"), parameters, prepare=True)
    return {address: earliest[address] for (address,) in rows}


def record_suppressed_members(connection: psycopg.Connection, part: Part) -> dict[tuple[str, str], int]:
    """Note to which members that exist suppressed addresses belong; answers what each new row comes from."""
    earliest = suppressed_members(part)
    if not earliest:
        return {}
    parameters = {
        "addresses": texts(address for address, _ in earliest),
        "members": texts(member_id for _, member_id in earliest),
    }
    rows = connection.execute(query("record_suppressed_members"), parameters, prepare=True)
    return {(address, member_id): earliest[address, member_id] for address, member_id in rows}


def _events(part: Part, indices: Collection[int]) -> Iterable[EmailEvent]:
    return [part.events[index] for index in indices]
