"""Schemas and messages for tests."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.contracts.codec import Codec
from services.contracts.events import (
    CancelFetch,
    DeadLetterReplay,
    EmailBounced,
    EmailDelivered,
    FetchSlice,
    FetchState,
    Message,
    RawMailgunEvent,
    ScheduleFetch,
)
from services.contracts.registry import FileRegistry, Schema, SchemaFiles
from services.contracts.topics import RECORD_TOPICS, subject
from services.runtime import resources

NOW = 1_767_225_600_123_456

RAW_EVENT = RawMailgunEvent("event-1", "mg.example.com", "latest", NOW, NOW + 61_000_000, b'{"event":"delivered"}')
DELIVERED = EmailDelivered(
    event_id="event-1",
    occurred_at=NOW,
    email_id="email-1",
    recipient_id="recipient-1",
    member_id=None,
    recipient="reader@example.org",
    domain="mg.example.com",
    loop="latest",
)
BOUNCED = EmailBounced(
    event_id="event-2",
    occurred_at=NOW,
    email_id="email-1",
    recipient_id="recipient-1",
    member_id="member-1",
    recipient="reader@example.org",
    domain="mg.example.com",
    loop="latest",
    code=550,
    enhanced_code="5.1.1",
    message="no such address",
    reason=None,
    severity="permanent",
)
STATE = FetchState(domain="mg.example.com", loop="latest", state="idle", begin=NOW, boundary_ids=["a"], updated_at=NOW)
SCHEDULED = msgspec.structs.replace(
    STATE,
    loop="scheduled",
    schedule_id="s",
    state="running",
    slices=[
        FetchSlice(begin=0, end=NOW // 2, cursor=NOW // 3, boundary_ids=["b", "c"]),
        FetchSlice(begin=NOW // 2, end=NOW, cursor=NOW // 2, boundary_ids=[]),
    ],
)
SCHEDULE = ScheduleFetch(
    schedule_id="s", domain="mg.example.com", begin=0, end=NOW, event_types=["failed"], requested_at=NOW
)
CANCEL = CancelFetch(schedule_id="s", domain="mg.example.com", requested_at=NOW)
REPLAY = DeadLetterReplay(replayed_at=NOW, topic="email.events.dlq", partition=0, offset=41, to_topic="email.events")
SAMPLES: tuple[Message, ...] = (RAW_EVENT, DELIVERED, BOUNCED, STATE, SCHEDULED, SCHEDULE, CANCEL, REPLAY)


def file_codec() -> Codec:
    """A codec over the committed lock file."""
    return Codec(FileRegistry(resources.schema_files()))


def schema(record: str) -> Schema:
    """The committed schema of a record."""
    parsed: Schema = json.loads(resources.schema_files().texts[f"{record}.avsc"])
    return parsed


def without_field(record: str, name: str) -> Schema:
    """A record's schema without one of its fields."""
    whole = schema(record)
    return whole | {"fields": [field for field in whole["fields"] if field["name"] != name]}


def with_field(record: str, field: dict[str, Any]) -> Schema:
    """A record's schema with one more field."""
    whole = schema(record)
    return whole | {"fields": [*whole["fields"], field]}


def files_of(record: str, current: Schema, *older: Schema) -> SchemaFiles:
    """The files of a single record, older versions first in its history; ids count from 1, the current one's last."""
    history = {f"history/{record}/{number}.avsc": json.dumps(each) for number, each in enumerate(older, 1)}
    ids = [*history, f"{record}.avsc"]
    name = subject(RECORD_TOPICS[record], record)
    lock = {str(number): {"subject": name, "file": file} for number, file in enumerate(ids, 1)}
    texts = {
        **history,
        f"history/{record}/{len(older) + 1}.avsc": json.dumps(current),
        f"{record}.avsc": json.dumps(current),
    }
    return SchemaFiles(json.dumps(lock), texts)
