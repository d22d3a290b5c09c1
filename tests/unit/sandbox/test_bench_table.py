"""How the figures of `mailriver bench` are told."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from services.sandbox.bench.figures import Aim, Figure, Ratio, Sample, rows_of
from services.sandbox.bench.table import cells_of, json_of, number, table_of

RATE = Figure(
    "raw topic to Postgres",
    "events/s",
    (Aim(20_000, at_least=True), Aim(2.0, at_least=False, of_ratio=True)),
    floor="one script",
)
BACKFILL = Figure("backfill", "events/s", (Aim(6.0, at_least=True, of_ratio=True),), Ratio.SPEED_UP)
ROWS = rows_of([Sample(RATE, 21_000, 63_000), Sample(BACKFILL, 4_000, 641), Sample(Figure("memory", "MB"), 101.26)])


def test_a_row_has_median_spread_floor_ratio_and_the_aims_as_words() -> None:
    """Nothing where there is nothing to say."""
    assert [cells_of(row) for row in ROWS] == [
        (
            "raw topic to Postgres",
            "21,000 events/s",
            "21,000-21,000",
            "63,000 events/s",
            "3.00x cost",
            "at least 20,000 events/s: met; at most 2.00x: not met",
        ),
        ("backfill", "4,000 events/s", "4,000-4,000", "641 events/s", "6.24x faster", "at least 6.00x: met"),
        ("memory", "101 MB", "101-101", "", "", ""),
    ]


def test_the_table_shows_every_row() -> None:
    """Under the title."""
    console = Console(width=180, record=True, file=StringIO())
    console.print(table_of(ROWS, "200,000 events"))
    text = console.export_text()
    assert text.startswith("200,000 events")
    assert all(cell in text for row in ROWS for cell in cells_of(row))


@pytest.mark.parametrize(("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (12_345.6, "12,346")])
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    """And their thousands apart."""
    assert number(value) == text


def test_json_has_all_that_the_table_has_and_what_was_measured_when() -> None:
    """For programs that follow the figures."""
    told = json.loads(json_of(ROWS, date="2026-11-24", events=200_000))
    assert (told["date"], told["events"]) == ("2026-11-24", 200_000)
    assert [row["title"] for row in told["rows"]] == ["raw topic to Postgres", "backfill", "memory"]
    assert told["rows"][0]["value"] == {"median": 21_000, "least": 21_000, "most": 21_000}
    assert told["rows"][0]["aims"] == [["at least 20,000 events/s", True], ["at most 2.00x", False]]
    assert told["rows"][2]["floor"] is None
