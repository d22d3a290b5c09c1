"""`mailriver bench`, on a small load: that everything is measured, not how fast it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]

TITLES = [
    "storage alone, fresh",
    "storage alone, again",
    "processor alone, one process",
    "raw topic to Postgres",
    "backfill, FETCH_CONCURRENCY 8",
    "visible at Mailgun to Postgres, p50",
    "visible at Mailgun to Postgres, p99",
    *(f"memory of the {service}, peak" for service in ("fetcher", "processor", "storage")),
    *(f"an event in storage, {rows} recipients" for rows in ("1,000", "10,000")),
]
FLOORLESS = [title for title in TITLES if title.startswith("memory") or title.endswith(" 1,000 recipients")]


def bench(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services", "bench", *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=280, env={**os.environ, **environ}
    )


def test_every_figure_stands_beside_its_floor_and_aims_that_are_missed_are_no_failure(tmp_path: Path) -> None:
    """In the table and in the file; nothing is asked of servers that the environment names."""
    file = tmp_path / "figures.json"
    done = bench(
        *("--events", "2000", "--runs", "1", "--json", str(file)),
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        TOPIC_PREFIX="other.",
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert [row["title"] for row in rows] == TITLES
    assert [title for title in TITLES if title not in done.stdout] == []
    assert "not met" in done.stdout  # 2000 events are one batch, which is all start and no rate
    for row in rows:
        assert row["value"]["median"] > 0
        assert (row["floor"] is None) == (row["title"] in FLOORLESS)
        assert row["ratio"] is None or row["ratio"]["median"] > 0
    assert "growth: run 1 of 1" in done.stderr


def test_without_java_it_says_what_to_install() -> None:
    """A line with the remedy, exit 1, no traceback."""
    done = bench("--only", "storage", PATH="/nowhere", JAVA_HOME="")
    assert done.returncode == 1
    assert "Java" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_measurement_that_does_not_exist_is_refused_with_those_that_do() -> None:
    """Exit 2."""
    done = bench("--only", "everything")
    assert done.returncode == 2
    assert "pipeline" in done.stderr
