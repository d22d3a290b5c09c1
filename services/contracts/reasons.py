"""The closed lists of words that label outcomes, in metrics and in dead-letter headers."""

from __future__ import annotations

from enum import StrEnum


class DeadReason(StrEnum):
    """Why a record is a dead letter. The first that applies, in this order."""

    NOT_AVRO = "not_avro"
    UNKNOWN_SCHEMA = "unknown_schema"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    NO_TYPE = "no_type"
    NO_TIMESTAMP = "no_timestamp"
    NO_IDENTITY = "no_identity"
    NO_RECIPIENT = "no_recipient"
    UNRESOLVED = "unresolved"
    TOO_LARGE = "too_large"
    DATABASE = "database"


class Stage(StrEnum):
    """Which service gave a record up."""

    FETCHER = "fetcher"
    PROCESSOR = "processor"
    STORAGE = "storage"


class EventType(StrEnum):
    """The types of Mailgun's Events API that rule N2 knows (docs/normalisation.md)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DELIVERED = "delivered"
    FAILED = "failed"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    STORED = "stored"
    LIST_MEMBER_UPLOADED = "list_member_uploaded"
    LIST_MEMBER_UPLOAD_ERROR = "list_member_upload_error"
    LIST_UPLOADED = "list_uploaded"
    EMAIL_VALIDATION = "email_validation"
    UNKNOWN = "unknown"


class Loop(StrEnum):
    """The loops of the fetcher."""

    LATEST = "latest"
    LATEST_OPENED = "latest_opened"
    MISSING = "missing"
    SCHEDULED = "scheduled"


class StorageResult(StrEnum):
    """What a typed event did to the database: a stored value comes from it, or not, or it had no row."""

    CHANGED = "changed"
    NOTHING = "nothing"
    IGNORED = "ignored"


class IgnoredReason(StrEnum):
    """Why storage ignored an event."""

    RECIPIENT_GONE = "recipient_gone"
