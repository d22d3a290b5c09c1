"""What the database says of a batch becomes a verdict for each event, and totals."""

from __future__ import annotations

from services.contracts.events import EmailOpened, EmailUnsubscribed
from services.storage.core.outcomes import (
    CHANGED,
    NOTHING,
    RECIPIENT_GONE,
    Outcomes,
    Total,
    Value,
    counted_before,
    next_offsets,
    totals,
)
from tests.support.storage import NOON, delivered, event, received


def test_only_the_winner_of_a_column_that_was_written_has_changed_something() -> None:
    events = [delivered(at=NOON + 1000), delivered(), event(EmailOpened)]
    outcomes = Outcomes(events)
    outcomes.add(range(3), {Value.DELIVERED: {"r1": 1}}, gone=[])
    assert outcomes.verdicts() == [NOTHING, CHANGED, NOTHING]


def test_an_event_of_a_later_part_takes_the_place_of_one_of_an_earlier_part() -> None:
    events = [delivered(at=NOON + 1000), delivered()]
    outcomes = Outcomes(events)
    outcomes.add([0], {Value.DELIVERED: {"r1": 0}}, gone=[])
    outcomes.add([1], {Value.DELIVERED: {"r1": 0}}, gone=[])
    assert outcomes.verdicts() == [NOTHING, CHANGED]


def test_an_event_that_changed_several_values_is_one_that_changed() -> None:
    outcomes = Outcomes([delivered(), event(EmailOpened)])
    outcomes.add(range(2), {Value.OPENED: {"r1": 1}, Value.LAST_SEEN: {"m-r1": 1}}, gone=[])
    assert outcomes.verdicts() == [NOTHING, CHANGED]


def test_events_of_a_missing_row_are_ignored_except_those_that_need_none() -> None:
    events = [delivered("r1"), event(EmailUnsubscribed, "r1"), delivered("r2"), delivered("r\0")]
    outcomes = Outcomes(events)
    outcomes.add(range(4), {Value.DELIVERED: {"r2": 2}}, gone=["r1", "r\0"])
    assert outcomes.verdicts() == [RECIPIENT_GONE, NOTHING, CHANGED, RECIPIENT_GONE]


def test_totals_leave_out_what_is_skipped() -> None:
    batch = received([delivered(), event(EmailOpened, loop="missing"), delivered("r2")])
    counted = totals(batch, [CHANGED, NOTHING, CHANGED], frozenset({2}))
    assert counted == {Total("delivered", "latest", CHANGED): 1, Total("opened", "missing", NOTHING): 1}


def test_the_next_offset_is_after_the_greatest_whatever_the_order() -> None:
    batch = received([delivered()], partition=3, first_offset=7) + received([delivered()] * 2, partition=1)
    assert list(next_offsets([*batch, *received([delivered()], partition=3, first_offset=5)]).items()) == [
        (1, 2),
        (3, 8),
    ]


def test_records_below_the_stored_offset_were_counted_before() -> None:
    batch = received([delivered()] * 3, first_offset=4)
    assert counted_before(batch, {0: 5}) == {0}
    assert counted_before(batch, {0: 0}) == frozenset()
