"""The share of a range that is fetched, and the time that the rest will take."""

from __future__ import annotations

import msgspec
import pytest

from services.contracts.events import FetchSlice, FetchState
from services.contracts.progress import covered, remaining_seconds

HOUR = 3_600_000_000
BEGIN = 490_000 * HOUR
QUEUED = FetchState(
    domain="mg.example.com",
    loop="scheduled",
    schedule_id="s",
    state="queued",
    begin=BEGIN,
    boundary_ids=[],
    range_begin=BEGIN,
    range_end=BEGIN + 4 * HOUR,
    updated_at=BEGIN,
)


def part(begin: int, end: int, cursor: int) -> FetchSlice:
    """A slice; hours after the range's begin."""
    return FetchSlice(begin=BEGIN + begin * HOUR, end=BEGIN + end * HOUR, cursor=BEGIN + cursor * HOUR, boundary_ids=[])


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 0.0),
        ({"state": "done"}, 1.0),
        ({"state": "running", "fetched_through": BEGIN + HOUR}, 0.25),
        ({"state": "running", "slices": [part(0, 2, 1), part(2, 4, 3)]}, 0.5),
        ({"state": "running", "slices": [part(2, 4, 3)]}, 0.75),
        ({"state": "running", "slices": [part(0, 4, 0)], "fetched_through": BEGIN}, 0.0),
        ({"state": "running", "fetched_through": BEGIN + 9 * HOUR}, 1.0),
        ({"state": "running", "fetched_through": BEGIN - HOUR}, 0.0),
        ({"state": "failed", "range_end": BEGIN}, 0.0),
        ({"state": "idle", "loop": "latest", "range_begin": None, "range_end": None}, 0.0),
    ],
)
def test_the_share_is_that_of_the_time_which_is_read(changes: dict[str, object], share: float) -> None:
    """Slices hold what is left; without them, what is fetched through tells."""
    assert covered(msgspec.structs.replace(QUEUED, **changes)) == pytest.approx(share)


def test_the_rest_takes_as_long_as_the_part_before() -> None:
    """A quarter in ten minutes leaves half an hour."""
    running = msgspec.structs.replace(QUEUED, state="running", fetched_through=BEGIN + HOUR, last_started_at=7 * HOUR)
    assert remaining_seconds(running, 7 * HOUR + HOUR // 6) == pytest.approx(1800)
    assert remaining_seconds(msgspec.structs.replace(running, state="done"), 8 * HOUR) == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": "running", "last_started_at": BEGIN},
        {"state": "running", "fetched_through": BEGIN + HOUR},
        {"state": "canceled", "fetched_through": BEGIN + HOUR, "last_started_at": BEGIN},
    ],
)
def test_nobody_knows_before_something_is_fetched_or_after_a_cancel(changes: dict[str, object]) -> None:
    """None, and no guess."""
    assert remaining_seconds(msgspec.structs.replace(QUEUED, **changes), BEGIN + 9 * HOUR) is None
