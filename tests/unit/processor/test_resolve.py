"""Which row of the database is the recipient of an event."""

from __future__ import annotations

import pytest

from services.contracts.outcome import Reject
from services.contracts.reasons import DeadReason, EventType
from services.processor.core.normalised import Normalised
from services.processor.core.resolve import Candidate, Lookup, Recipient, Unmatched, decide, needs_recipient, wanted

LOOKUP = Lookup("e1", "m1", "alice@example.com")
ALICE = Recipient("r1", "e1", "m1", "Alice@Example.com")
ALICE_ELSEWHERE = Recipient("r2", "e2", "m1", "alice@example.com")
BOB = Recipient("r3", "e1", "m3", "bob@example.com")


def event(event_type: EventType, recipient: str | None = "Alice@Example.com") -> Normalised:
    """A normalised event."""
    return Normalised(event_type, 1, recipient, "m1", "e1")


def test_events_that_become_typed_events_are_looked_up_in_their_order() -> None:
    batch: list[Normalised | Reject] = [
        event(EventType.OPENED),
        Reject(DeadReason.NO_TYPE, "no type"),
        event(EventType.ACCEPTED),
        event(EventType.FAILED, "bob@example.com"),
    ]

    assert wanted(batch) == [Lookup("e1", "m1", "alice@example.com"), Lookup("e1", "m1", "bob@example.com")]


@pytest.mark.parametrize("event_type", list(EventType))
def test_six_types_need_a_recipient(event_type: EventType) -> None:
    ours = {"delivered", "failed", "opened", "clicked", "unsubscribed", "complained"}

    assert needs_recipient(event(event_type)) == (event_type in ours)


def test_spellings_that_differ_in_case_ask_the_same() -> None:
    spelt = [event(EventType.OPENED, "ALICE@example.com"), event(EventType.OPENED, "alice@EXAMPLE.com")]

    assert len(set(wanted(spelt))) == 1


def test_the_row_with_the_address_is_the_answer() -> None:
    assert decide(LOOKUP, [Candidate(ALICE, by_email_id=True)]) == ALICE


def test_no_row_is_no_answer() -> None:
    assert decide(LOOKUP, []) is Unmatched.NOBODY


def test_a_row_with_another_address_is_no_answer() -> None:
    assert decide(LOOKUP, [Candidate(BOB, by_email_id=True)]) is Unmatched.NOBODY


def test_a_row_found_by_the_email_id_goes_before_one_found_by_the_message_id() -> None:
    candidates = [Candidate(ALICE_ELSEWHERE, by_email_id=False), Candidate(ALICE, by_email_id=True)]

    assert decide(LOOKUP, candidates) == ALICE


def test_the_message_id_counts_where_the_email_id_finds_only_others() -> None:
    candidates = [Candidate(BOB, by_email_id=True), Candidate(ALICE_ELSEWHERE, by_email_id=False)]

    assert decide(LOOKUP, candidates) == ALICE_ELSEWHERE


def test_one_row_found_by_two_spellings_is_one_row() -> None:
    assert decide(LOOKUP, [Candidate(ALICE, by_email_id=True)] * 2) == ALICE


def test_two_rows_are_no_answer() -> None:
    twin = Recipient("r9", "e1", None, "alice@EXAMPLE.com")

    assert decide(LOOKUP, [Candidate(ALICE, by_email_id=True), Candidate(twin, by_email_id=True)]) is Unmatched.SEVERAL
