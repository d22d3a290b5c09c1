"""The counters of emails and members beside their recount."""

from __future__ import annotations

import psycopg

from services.storage.adapters.audit import Auditor
from services.storage.core.audit import Drift


def drifted(dsn: str) -> list[Drift]:
    """Every stored value that is not what a recount says."""
    with Auditor(dsn) as auditor:
        return [drift for step in auditor.steps(repair=False) for drift in step.drifts]


def miscounted(dsn: str) -> list[Drift]:
    """Every counter of an email or a member that is not what a recount says."""
    return [drift for drift in drifted(dsn) if drift.table in ("emails", "members")]


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
