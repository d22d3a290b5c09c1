"""The application's rows into Postgres, by COPY."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, LiteralString

import psycopg

from services.sandbox.newsletter.audience import Newsletter

_RECIPIENTS: LiteralString = "email_recipients (id, email_id, batch_id, member_id, member_email)"


def insert(
    newsletter: Newsletter, connection: psycopg.Connection[Any], *, without: Collection[int] = frozenset()
) -> None:
    """Insert all rows of the newsletter, in one transaction (a savepoint in the caller's). Blocks.

    Recipients whose numbers are in ``without`` are left out, for :func:`insert_recipients` to insert later.

    Raises:
        psycopg.Error: the schema is missing, or a newsletter of this seed and domain is there already.

    """
    subscriptions = newsletter.subscription_rows()
    recipients = (number for number in range(newsletter.recipients) if number not in without)
    with connection.transaction():
        _copy(connection, "newsletters (id, name)", newsletter.newsletter_rows())
        _copy(connection, "members (id, email)", newsletter.member_rows())
        _copy(connection, "members_newsletters (member_id, newsletter_id, subscribed_at)", subscriptions)
        _copy(connection, "emails (id, newsletter_id, subject, track_opens, submitted_at)", newsletter.email_rows())
        _copy(connection, "email_batches (id, email_id, provider_id)", newsletter.batch_rows())
        _copy(connection, _RECIPIENTS, newsletter.recipient_rows(recipients))


def insert_recipients(newsletter: Newsletter, connection: psycopg.Connection[Any], numbers: Iterable[int]) -> None:
    """Insert the rows of those recipients alone, in one transaction (a savepoint in the caller's). Blocks."""
    with connection.transaction():
        _copy(connection, _RECIPIENTS, newsletter.recipient_rows(numbers))


def _copy(connection: psycopg.Connection[Any], target: LiteralString, rows: Iterable[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY mailriver.{target} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
