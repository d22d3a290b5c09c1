"""Compares the rows in Postgres with what the simulator's events say they must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import psycopg

from services.sandbox.newsletter import RecipientTruth

COLUMNS = ("failed_at", "first_delivered_at", "delivered_at", "opened_at", "clicked_at")
_SHOWN = 5


class Comparison(msgspec.Struct, frozen=True):
    """How the rows differ from the truth."""

    compared: int
    different: int
    examples: list[str]
    """A line for each of the first few rows that differ."""
    found: dict[str, int]
    """How many rows have each column set."""
    wanted: dict[str, int]
    """How many should have."""

    @property
    def agrees(self) -> bool:
        """Whether every row is as it must be."""
        return self.different == 0


def compare(connection: psycopg.Connection, truth: Mapping[str, RecipientTruth]) -> Comparison:
    """Compare every recipient row with its truth, column by column, in milliseconds. Blocks."""
    found = dict.fromkeys(COLUMNS, 0)
    wanted = {name: sum(getattr(each, name) is not None for each in truth.values()) for name in COLUMNS}
    examples: list[str] = []
    different = 0
    missing = set(truth)
    for key, row in _rows(connection):
        for name, value in row.items():
            found[name] += value is not None
        should = truth.get(key)
        missing.discard(key)
        if should is not None and all(getattr(should, name) == value for name, value in row.items()):
            continue
        different += 1
        if len(examples) < _SHOWN:
            examples.append(f"{key}: is {row}, should be {should}")
    different += len(missing)
    examples += [f"{key}: has no row" for key in sorted(missing)[: _SHOWN - len(examples)]]
    return Comparison(len(truth), different, examples, found, wanted)


def _rows(connection: psycopg.Connection) -> Iterator[tuple[str, dict[str, int | None]]]:
    columns = ", ".join(f"(extract(epoch from {name}) * 1000)::bigint" for name in COLUMNS)
    with connection.transaction(), connection.cursor("rows") as cursor:
        cursor.itersize = 20_000
        cursor.execute(f"SELECT id, {columns} FROM mailriver.email_recipients".encode())  # noqa: S608 - names of ours
        for key, *values in cursor:
            yield key, dict(zip(COLUMNS, values, strict=True))
