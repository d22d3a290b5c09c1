"""The topics: their names, and what ``schemas/topics/*.yaml`` declares of each.

Names here are without ``TOPIC_PREFIX``; :func:`prefixed` puts it before them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

NAMESPACE = "mailriver.v1"

RAW = "mailgun.events.raw"
RAW_RETRIES = ("mailgun.events.retry.1m", "mailgun.events.retry.10m", "mailgun.events.retry.2h")
RAW_DLQ = "mailgun.events.dlq"
EMAIL_EVENTS = "email.events"
EMAIL_EVENTS_DLQ = "email.events.dlq"
DLQ_REPLAYS = "mailriver.dlq.replays"
FETCH_COMMANDS = "mailgun.fetch.commands"
FETCH_STATE = "mailgun.fetch.state"

ALL = (RAW, *RAW_RETRIES, RAW_DLQ, EMAIL_EVENTS, EMAIL_EVENTS_DLQ, DLQ_REPLAYS, FETCH_COMMANDS, FETCH_STATE)

RECORD_TOPICS: Mapping[str, str] = {
    "RawMailgunEvent": RAW,
    "EmailDelivered": EMAIL_EVENTS,
    "EmailOpened": EMAIL_EVENTS,
    "EmailClicked": EMAIL_EVENTS,
    "EmailBounced": EMAIL_EVENTS,
    "EmailTemporarilyFailed": EMAIL_EVENTS,
    "EmailUnsubscribed": EMAIL_EVENTS,
    "SpamComplaint": EMAIL_EVENTS,
    "ScheduleFetch": FETCH_COMMANDS,
    "CancelFetch": FETCH_COMMANDS,
    "FetchState": FETCH_STATE,
    "DeadLetterReplay": DLQ_REPLAYS,
}
"""The topic that each record is written to first; the retry topics hold the raw topic's bytes."""

RAW_MAX_BYTES = 4 * 1024 * 1024
EMAIL_EVENTS_MAX_BYTES = 4 * 1024 * 1024
"""The largest record batch of these topics; their retry and dead-letter topics take 128 KiB more, for the headers."""

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,200}")


class TopicSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is declared of a topic."""

    name: str
    description: str
    key: str
    """What the key of a record is, in words."""
    records: tuple[str, ...]
    """The Avro records in it, without namespace; none where it holds any bytes."""
    cleanup_policy: Literal["delete", "compact"]
    retention_ms: Annotated[int, msgspec.Meta(gt=0)] | None
    """None for a compacted topic, which keeps the last record of each key."""
    partitions: Annotated[int, msgspec.Meta(ge=1)]
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1)]
    compression: Literal["producer"]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    examples: str | None
    """The folder below ``schemas/examples`` whose records may stand in it."""


def parse_spec(declaration: Mapping[str, Any]) -> TopicSpec:
    """A declaration, already read from its file.

    Raises:
        ValueError: with what is wrong, if it is no right declaration.

    """
    try:
        spec = msgspec.convert(declaration, TopicSpec)
    except msgspec.ValidationError as error:
        raise ValueError(f"topic {declaration.get('name', 'without a name')}: {error}") from None
    if not _NAME.fullmatch(spec.name):
        raise ValueError(f"topic {spec.name!r}: a name has letters, digits, '.', '_' and '-' only")
    if (spec.cleanup_policy == "compact") != (spec.retention_ms is None):
        raise ValueError(f"topic {spec.name}: retention_ms must be null if it is compacted, and a number if not")
    return spec


def prefixed(prefix: str, name: str) -> str:
    """The name of a topic in Kafka."""
    return f"{prefix}{name}"


def subject(topic: str, record: str) -> str:
    """The subject of a record's schema: by topic (without prefix, so that ids do not depend on it) and record name."""
    return f"{topic}-{NAMESPACE}.{record}"
