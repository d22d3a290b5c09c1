"""The counters of emails and members beside their recount."""

from __future__ import annotations

import psycopg

from services.storage.adapters.queries import query


def drifted(dsn: str) -> list[str]:
    """The ids of the emails and members whose counters are not what a recount says."""
    with psycopg.connect(dsn) as connection:
        return [
            each
            for name in ("audit_emails", "audit_members")
            for each in (connection.execute(query(name), {"after": "", "rows": 1_000_000}).fetchone() or ())[2]
        ]


def email_counters(dsn: str, email_id: str = "e1") -> tuple[int, ...] | None:
    """Recipients, delivered, opened, clicked, failed."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT recipient_count, delivered_count, opened_count, clicked_count, failed_count "
            "FROM mailriver.emails WHERE id = %s",
            (email_id,),
        ).fetchone()


def member_counters(dsn: str, member_id: str) -> tuple[int | None, ...] | None:
    """Emails, opened, tracked, tracked and opened, rate."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT email_count, email_opened_count, email_tracked_count, email_tracked_opened_count, email_open_rate "
            "FROM mailriver.members WHERE id = %s",
            (member_id,),
        ).fetchone()
