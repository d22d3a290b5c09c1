"""A batch becomes one change a recipient."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.contracts.events import (
    EmailBounced,
    EmailClicked,
    EmailDelivered,
    EmailEvent,
    EmailOpened,
    EmailTemporarilyFailed,
    EmailUnsubscribed,
    SpamComplaint,
)
from services.storage.core.fold import COLUMN_EVENTS, NOBODY, Fold
from services.storage.core.fold import fold as fold_part
from services.storage.core.part import Part
from tests.support.storage import NOON, delivered, event


def fold(events: Sequence[EmailEvent]) -> Fold:
    return fold_part(Part.of(events))


def winner(folded: Fold, kind: type[EmailEvent], recipient_id: str = "r1") -> int:
    return folded.winners[COLUMN_EVENTS.index(kind)][folded.keys.index(recipient_id)]


@pytest.mark.parametrize("kind", COLUMN_EVENTS)
def test_the_earliest_event_of_a_column_wins_wherever_it_stands(kind: type[EmailEvent]) -> None:
    times = [NOON + 2000, NOON, NOON + 1000]
    folded = fold([event(kind, at=at) for at in times])
    assert winner(folded, kind) == 1
    assert all(winner(folded, other) == NOBODY for other in COLUMN_EVENTS if other is not kind)


def test_times_are_cut_to_milliseconds_and_not_rounded() -> None:
    assert Part.of([delivered(at=NOON + 1999)]).instants == [NOON + 1000]


def test_of_events_in_one_millisecond_the_least_event_id_by_bytes_wins() -> None:
    later_with_lesser_id = event(EmailOpened, at=NOON + 900, event_id="B")
    earlier_with_greater_id = event(EmailOpened, at=NOON + 100, event_id="a")
    assert winner(fold([earlier_with_greater_id, later_with_lesser_id]), EmailOpened) == 1


def test_of_two_copies_of_an_event_the_first_wins() -> None:
    assert winner(fold([delivered(), delivered()]), EmailDelivered) == 0


def test_keys_are_in_the_order_of_their_bytes_and_each_is_there_once() -> None:
    ids = ["b", "é", "B", "a", "\U0001f600", "\uffff", "b"]
    assert fold([delivered(each) for each in ids]).keys == sorted(set(ids), key=str.encode)


def test_a_temporary_failure_asks_for_the_row_but_sets_no_column() -> None:
    folded = fold([event(EmailTemporarilyFailed)])
    assert folded.keys == ["r1"]
    assert all(winners == [NOBODY] for winners in folded.winners)


@pytest.mark.parametrize("kind", [EmailUnsubscribed, SpamComplaint])
def test_what_concerns_members_alone_is_no_change_of_a_recipient(kind: type[EmailEvent]) -> None:
    assert fold([event(kind)]).keys == []


@pytest.mark.parametrize("recipient_id", ["r\0", "r\ud800"])
def test_ids_that_postgres_cannot_hold_are_set_apart(recipient_id: str) -> None:
    folded = fold([delivered("r1"), event(EmailClicked, recipient_id), event(EmailBounced, "r2")])
    assert folded.keys == ["r1", "r2"]
    assert folded.unstorable == {recipient_id}


def test_nothing_folds_to_nothing() -> None:
    assert fold([]) == Fold([], ([], [], [], []), frozenset())
