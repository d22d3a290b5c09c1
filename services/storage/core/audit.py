"""What an audit looks at, and what it makes of an answer of the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

import msgspec

Value: TypeAlias = int | str | None


class Table(msgspec.Struct, frozen=True):
    """A table whose stored values can be recounted from other rows."""

    name: str
    counters: tuple[str, ...]
    """What is recounted of each row, in the order of the statement's answer."""
    is_mendable: bool = True
    """Whether a recount can be written back; else only the events can tell the value again."""


TABLES = (
    # First, since repairing a recipient changes counters, by exact transitions: what was wrong stays so.
    Table("recipients", ("failed_at",)),
    Table("emails", ("recipient_count", "delivered_count", "opened_count", "clicked_count", "failed_count")),
    Table("members", ("email_count", "email_opened_count", "email_tracked_count", "email_tracked_opened_count")),
    Table("suppression_members", ("suppressions",), is_mendable=False),
)


class Drift(msgspec.Struct, frozen=True):
    """A stored value that is not what a recount says."""

    table: str
    id: str
    counter: str
    stored: Value
    recounted: Value
    repaired: bool = False


class Step(msgspec.Struct, frozen=True):
    """What one statement looked at."""

    table: str
    rows: int
    drifted: int
    repaired: int
    """Of the drifted rows."""
    drifts: list[Drift]


class Summary(msgspec.Struct, frozen=True):
    """An audit in numbers, all of them rows."""

    rows: int = 0
    drifted: int = 0
    repaired: int = 0

    def after(self, step: Step) -> Summary:
        """With one more step."""
        return Summary(self.rows + step.rows, self.drifted + step.drifted, self.repaired + step.repaired)

    @property
    def left(self) -> int:
        """Rows that are still wrong."""
        return self.drifted - self.repaired


Row: TypeAlias = tuple[str, Sequence[Value], Sequence[Value]]
"""A row's id, its stored values and the recounted ones."""


def step_of(table: Table, rows: int, wrong: Sequence[Row], left: Collection[str] | None) -> Step:
    """What a step found: ``rows`` in all, those that are ``wrong``, and of these the ids that are still so.

    ``left`` is None where nothing was to be repaired.
    """
    drifts = [
        Drift(table.name, row_id, counter, was, should, left is not None and row_id not in left)
        for row_id, stored, recounted in wrong
        for counter, was, should in zip(table.counters, stored, recounted, strict=True)
        if was != should
    ]
    repaired = 0 if left is None else sum(row_id not in left for row_id, _, _ in wrong)
    return Step(table.name, rows, len(wrong), repaired, drifts)
