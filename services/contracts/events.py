"""The records that travel between the services, one class for each Avro schema in ``schemas/``.

All instants are integers: microseconds since 1970-01-01 UTC. All ids are text. The classes are
``msgspec.Struct`` and not dataclasses, because one is made for each event at each stage and a
frozen dataclass costs eight times as much to make (docs/adr/0003-structs.md).
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec


class RawMailgunEvent(msgspec.Struct, frozen=True, gc=False):
    """An item of Mailgun's Events API, as it came."""

    event_id: str
    """Mailgun's id, or ``sha256:`` and a hash of the content where it has none."""
    domain: str
    """The sending domain that was asked."""
    loop: str
    """The loop that saw it."""
    occurred_at: int | None
    """Mailgun's time of the event; None where the item has no usable one."""
    fetched_at: int
    payload: bytes
    """The JSON of the item."""


class EmailEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What every typed event carries."""

    event_type: ClassVar[str] = ""

    event_id: str
    occurred_at: int
    email_id: str
    recipient_id: str
    """The key of the row in ``email_recipients``."""
    member_id: str | None
    recipient: str
    """The address of the recipient's row, not as the event spelt it."""
    domain: str
    loop: str


class EmailDelivered(EmailEvent, frozen=True, gc=False, kw_only=True):
    """The receiving server took the mail."""

    event_type: ClassVar[str] = "delivered"


class EmailOpened(EmailEvent, frozen=True, gc=False, kw_only=True):
    """The mail was opened, once more perhaps."""

    event_type: ClassVar[str] = "opened"


class EmailClicked(EmailEvent, frozen=True, gc=False, kw_only=True):
    """A link in the mail was followed."""

    event_type: ClassVar[str] = "clicked"


class FailureEvent(EmailEvent, frozen=True, gc=False, kw_only=True):
    """What both kinds of failure carry."""

    code: int | None
    enhanced_code: str | None
    message: str | None
    reason: str | None
    severity: str


class EmailBounced(FailureEvent, frozen=True, gc=False, kw_only=True):
    """Mailgun gave up: a permanent failure."""

    event_type: ClassVar[str] = "bounced"


class EmailTemporarilyFailed(FailureEvent, frozen=True, gc=False, kw_only=True):
    """One attempt failed; Mailgun tries again."""

    event_type: ClassVar[str] = "temporarily_failed"


class EmailUnsubscribed(EmailEvent, frozen=True, gc=False, kw_only=True):
    """The recipient wants no more of this newsletter."""

    event_type: ClassVar[str] = "unsubscribed"


class SpamComplaint(EmailEvent, frozen=True, gc=False, kw_only=True):
    """The recipient called the mail spam."""

    event_type: ClassVar[str] = "complained"


TypedEvent: TypeAlias = (
    EmailDelivered
    | EmailOpened
    | EmailClicked
    | EmailBounced
    | EmailTemporarilyFailed
    | EmailUnsubscribed
    | SpamComplaint
)

TYPED_EVENTS: tuple[type[EmailEvent], ...] = (
    EmailDelivered,
    EmailOpened,
    EmailClicked,
    EmailBounced,
    EmailTemporarilyFailed,
    EmailUnsubscribed,
    SpamComplaint,
)


class ScheduleFetch(msgspec.Struct, frozen=True, kw_only=True):
    """An order to fetch the events of [begin, end)."""

    schedule_id: str
    domain: str
    begin: int
    end: int
    event_types: list[str] | None
    """Mailgun's names, or None for all."""
    requested_at: int


class CancelFetch(msgspec.Struct, frozen=True, kw_only=True):
    """An order to stop a scheduled fetch."""

    schedule_id: str
    domain: str
    requested_at: int


class FetchSlice(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a scheduled fetch's range, [begin, end), that is read side by side with the others."""

    begin: int
    end: int
    cursor: int
    """Where the next request begins: all before it is in the raw topic."""
    boundary_ids: list[str]
    """Ids of the slice's events at or after the cursor that are in the raw topic already."""


class FetchState(msgspec.Struct, frozen=True, kw_only=True):
    """Where one loop of one domain (or one scheduled fetch) stands: its record in the state topic.

    ``begin`` and ``boundary_ids`` are the cursor: the next run asks from ``begin`` on, and drops
    the events whose ids are in ``boundary_ids``, since they are in the raw topic already.
    """

    domain: str
    loop: str
    schedule_id: str | None = None
    state: str
    """idle, running, backing_off, failed; for a scheduled fetch also queued, done, canceled."""
    begin: int
    boundary_ids: list[str]
    fetched_through: int | None = None
    """All that Mailgun showed up to this instant is in the raw topic."""
    last_event_at: int | None = None
    last_started_at: int | None = None
    """When the last run began; for a scheduled fetch when it began at all."""
    last_begin: int | None = None
    events_total: int = 0
    last_error: str | None = None
    range_begin: int | None = None
    """The ordered range of a scheduled fetch, [range_begin, range_end)."""
    range_end: int | None = None
    event_types: list[str] | None = None
    slices: list[FetchSlice] = []
    """What a scheduled fetch has still to read, in the order of time; what lies between two slices has been read."""
    updated_at: int


class DeadLetterReplay(msgspec.Struct, frozen=True, kw_only=True):
    """The mark that a dead letter was replayed; its key is ``topic/partition/offset`` of the dead letter."""

    replayed_at: int
    topic: str
    """The dead-letter topic, without the prefix."""
    partition: int
    offset: int
    to_topic: str
    """Where it was written back to, without the prefix."""


Message: TypeAlias = RawMailgunEvent | TypedEvent | ScheduleFetch | CancelFetch | FetchState | DeadLetterReplay

MESSAGES: tuple[type[Message], ...] = (
    RawMailgunEvent,
    EmailDelivered,
    EmailOpened,
    EmailClicked,
    EmailBounced,
    EmailTemporarilyFailed,
    EmailUnsubscribed,
    SpamComplaint,
    ScheduleFetch,
    CancelFetch,
    FetchState,
    DeadLetterReplay,
)
"""Every record; each is named like its Avro schema."""
