"""Compares the tables in Postgres with what the simulator's events say they must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, LiteralString

import msgspec
import psycopg

from services.sandbox.newsletter import RecipientTruth, Rows

_SHOWN = 5
_RECIPIENTS = "email_recipients"
_INSTANTS = frozenset({*RecipientTruth.__struct_fields__, "occurred_at", "last_seen_at"})

TABLES: dict[str, tuple[tuple[LiteralString, ...], tuple[LiteralString, ...]]] = {
    # The key and the other columns of each.
    "email_recipients": (("id",), ("failed_at", "first_delivered_at", "delivered_at", "opened_at", "clicked_at")),
    "email_recipient_failures": (
        ("email_recipient_id",),
        ("email_id", "member_id", "severity", "code", "enhanced_code", "message", "failed_at", "event_id"),
    ),
    "email_spam_complaint_events": (("email_id", "member_id"), ("email_address", "occurred_at", "event_id")),
    "email_unsubscribe_events": (("event_id", "occurred_at"), ("email_id", "member_id", "newsletter_id")),
    "suppressions": (("email",), ("reason", "email_id", "occurred_at", "event_id")),
    "suppression_members": (("email", "member_id"), ()),
    "members_newsletters": (("member_id", "newsletter_id"), ("subscribed_at IS NOT NULL",)),
    "members": (
        ("id",),
        (
            "email_disabled", "last_seen_at", "email_count", "email_opened_count", "email_tracked_count",
            "email_tracked_opened_count", "email_open_rate",
        ),
    ),
    "emails": (("id",), ("recipient_count", "delivered_count", "opened_count", "clicked_count", "failed_count")),
    "email_batches": (("id",), ("email_id", "provider_id")),
}  # fmt: skip


class Comparison(msgspec.Struct, frozen=True):
    """How the rows differ from the truth."""

    compared: int
    different: int
    examples: list[str]
    """A line for each of the first few rows that differ."""
    found: dict[str, int]
    """How many rows have each column of the recipients set, and how many there are in each other table."""
    wanted: dict[str, int]
    """How many there should be."""

    @property
    def agrees(self) -> bool:
        """Whether every row is as it must be."""
        return self.different == 0


def compare(connection: psycopg.Connection, truth: Mapping[str, Rows]) -> Comparison:
    """Compare every row of every table with the truth, instants in milliseconds. Blocks."""
    compared = different = 0
    examples: list[str] = []
    found: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for table in TABLES:
        should = truth.get(table, {})
        rows = dict(_rows(connection, table))
        found |= _counted(table, rows)
        wanted |= _counted(table, should)
        wrong = sorted(key for key in should.keys() | rows.keys() if should.get(key) != rows.get(key))
        compared += len(should)
        different += len(wrong)
        examples += [
            f"{table} {key}: is {rows.get(key, 'missing')}, should be {should.get(key, 'missing')}"
            for key in wrong[: _SHOWN - len(examples)]
        ]
    return Comparison(compared, different, examples, found, wanted)


def _counted(table: str, rows: Rows) -> dict[str, int]:
    if table != _RECIPIENTS:
        return {table: len(rows)}
    columns = TABLES[table][1]
    return {name: sum(row[place] is not None for row in rows.values()) for place, name in enumerate(columns)}


def _rows(connection: psycopg.Connection, table: str) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    key, others = TABLES[table]
    columns = ", ".join(
        f"(extract(epoch from {name}) * 1000)::bigint" if name in _INSTANTS else name for name in (*key, *others)
    )
    with connection.transaction(), connection.cursor("rows") as cursor:
        cursor.itersize = 20_000
        cursor.execute(f"SELECT {columns} FROM mailriver.{table}".encode())  # noqa: S608 - names of ours
        for row in cursor:
            yield row[: len(key)], row[len(key) :]
