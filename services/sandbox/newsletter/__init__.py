"""A newsletter to send on one machine: its rows, the course of its events, and what must come of them."""

from __future__ import annotations

from services.sandbox.newsletter.audience import HeldBack, Newsletter, first_to_be_seen
from services.sandbox.newsletter.course import plan
from services.sandbox.newsletter.expectation import RecipientTruth, Rows, expected_recipients, expected_tables, totals
from services.sandbox.newsletter.rows import insert, insert_recipients

__all__ = [
    "HeldBack",
    "Newsletter",
    "RecipientTruth",
    "Rows",
    "expected_recipients",
    "expected_tables",
    "first_to_be_seen",
    "insert",
    "insert_recipients",
    "plan",
    "totals",
]
