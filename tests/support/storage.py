"""Events, rows and databases for the tests of storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from services.contracts.events import EmailBounced, EmailDelivered, EmailEvent, EmailTemporarilyFailed, FailureEvent
from services.storage.core.fold import Received
from tests.support.definition import Row

NOON = 1_767_268_800_000_000
"""Noon of 2026-01-01 in microseconds since 1970."""

EventT = TypeVar("EventT", bound=EmailEvent)


def event(
    kind: type[EventT],
    recipient_id: str = "r1",
    at: int = NOON,
    *,
    event_id: str = "",
    email_id: str = "e1",
    loop: str = "latest",
) -> EventT:
    """An event at ``at`` microseconds; its id follows from the rest unless given."""
    common = {
        "event_id": event_id or f"{kind.event_type}-{recipient_id}-{at}",
        "occurred_at": at,
        "email_id": email_id,
        "recipient_id": recipient_id,
        "member_id": f"m-{recipient_id}",
        "recipient": f"{recipient_id}@example.com",
        "domain": "mail.example.org",
        "loop": loop,
    }
    if issubclass(kind, FailureEvent):
        severity = "temporary" if issubclass(kind, EmailTemporarilyFailed) else "permanent"
        common |= {
            "code": 550,
            "enhanced_code": "5.1.1",
            "message": "No such user",
            "reason": None,
            "severity": severity,
        }
    return kind(**common)  # type: ignore[arg-type]  # the fields differ by class, and the constructor checks them


def delivered(recipient_id: str = "r1", at: int = NOON) -> EmailDelivered:
    """A delivery."""
    return event(EmailDelivered, recipient_id, at)


def bounced(recipient_id: str = "r1", at: int = NOON) -> EmailBounced:
    """A permanent failure."""
    return event(EmailBounced, recipient_id, at)


def received(events: Iterable[EmailEvent], *, partition: int = 0, first_offset: int = 0) -> list[Received]:
    """Events as consecutive records of one partition."""
    return [
        Received(each, partition, offset)  # type: ignore[arg-type]  # each is one of the typed events
        for offset, each in enumerate(events, first_offset)
    ]


def seed(dsn: str, recipient_ids: Sequence[str], email_id: str = "e1") -> None:
    """One email with these recipients, and nothing else of it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM mailriver.emails WHERE id = %s", (email_id,))
        connection.execute(
            "INSERT INTO mailriver.emails (id, subject, submitted_at) VALUES (%s, 'News', now())", (email_id,)
        )
        connection.execute(
            "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) "
            "SELECT id, %s, 'm-' || id, id || '@example.com' FROM unnest(%s::text[]) AS given (id)",
            (email_id, list(recipient_ids)),
        )


def stored_rows(dsn: str) -> dict[str, Row]:
    """The recipients' columns, in whole milliseconds since 1970."""
    columns = SQL(", ").join(
        SQL("(extract(epoch FROM {}) * 1000)::bigint").format(Identifier(field)) for field in Row._fields
    )
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(SQL("SELECT id, {} FROM mailriver.email_recipients").format(columns))
        return {row[0]: Row(*row[1:]) for row in rows}


def stored_totals(dsn: str) -> dict[tuple[str, str, str, str], int]:
    """The stored totals by event type, loop, outcome and reason."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT event_type, loop, outcome, reason, events FROM mailriver.storage_totals")
        return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


def stored_offsets(dsn: str) -> dict[int, int]:
    """The stored next offsets by partition."""
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT partition, next_offset FROM mailriver.storage_offsets").fetchall())


@contextmanager
def empty_database(dsn: str) -> Iterator[str]:
    """A database without any table on the server of ``dsn``, dropped at the end."""
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
        try:
            yield make_conninfo(dsn, dbname=name)
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
