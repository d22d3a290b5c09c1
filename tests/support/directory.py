"""Rows of the sending application for tests of the recipient directory."""

from __future__ import annotations

import psycopg


def add_email(connection: psycopg.Connection, email_id: str, *, provider_id: str | None = None) -> None:
    """An email with one batch."""
    connection.execute(
        "INSERT INTO mailriver.emails (id, subject, submitted_at) VALUES (%s, 'August digest', now())", (email_id,)
    )
    connection.execute(
        "INSERT INTO mailriver.email_batches (id, email_id, provider_id) VALUES (%s, %s, %s)",
        (f"batch-{email_id}", email_id, provider_id),
    )


def add_recipient(
    connection: psycopg.Connection, recipient_id: str, email_id: str, address: str, *, member_id: str | None = None
) -> None:
    """A recipient of an email that exists."""
    connection.execute(
        "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) VALUES (%s, %s, %s, %s)",
        (recipient_id, email_id, member_id, address),
    )
