"""The newsletter of the sandbox: its course, its rows, and what must come of them."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from services.sandbox.mailgun.events import SimulatedEvent
from services.sandbox.newsletter import (
    HeldBack,
    Newsletter,
    RecipientTruth,
    Rows,
    expected_recipients,
    expected_tables,
    first_to_be_seen,
    plan,
    totals,
)

START, DURATION, LATE = 1_787_220_000.0, 60.0, 5.0


@lru_cache
def newsletter(recipients: int = 4000, seed: int = 3) -> Newsletter:
    return plan(
        recipients,
        seed=seed,
        start=START,
        duration_seconds=DURATION,
        late_seconds=LATE,
        domain="mg.example.com",
    )


def items() -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.payload_bytes()) for event in newsletter().events]


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    again = newsletter.__wrapped__(50, 3)
    assert again == newsletter.__wrapped__(50, 3)
    other = newsletter.__wrapped__(50, 4)
    assert again.events != other.events
    assert set(again.recipient_rows()).isdisjoint(other.recipient_rows())


def test_no_event_lies_outside_the_course_and_none_is_visible_before_its_time() -> None:
    for event in newsletter().events:
        assert START <= event.timestamp <= START + DURATION
        assert event.timestamp <= event.visible_at <= event.timestamp + LATE


def test_a_tenth_of_the_events_is_late_and_the_rest_is_prompt() -> None:
    delays = [event.visible_at - event.timestamp for event in newsletter().events]
    late = sum(delay > 0.2001 for delay in delays) / len(delays)
    assert 0.07 < late < 0.12
    assert max(delays) > LATE * 0.9


def test_the_events_agree_with_their_payloads() -> None:
    for event, item in zip(newsletter().events, items(), strict=True):
        assert (item["event"], item["id"], item["timestamp"]) == (event.event_type, event.id, event.timestamp)
    assert len({event.id for event in newsletter().events}) == len(newsletter().events)
    assert 900 < sum(len(event.payload_bytes()) for event in newsletter().events) / len(newsletter().events) < 1600


def test_the_course_has_the_shares_of_an_ordinary_newsletter() -> None:
    counts, truth, recipients = totals(newsletter()), expected_recipients(newsletter()), newsletter().recipients

    def share(column: str) -> float:
        return sum(getattr(each, column) is not None for each in truth.values()) / recipients

    assert 0.96 < share("first_delivered_at") < 0.99
    assert 0.41 < share("opened_at") < 0.49
    assert 0.06 < share("clicked_at") < 0.10
    assert 0.013 < share("failed_at") < 0.03
    assert counts["opened"] > share("opened_at") * recipients
    assert min(counts[name] for name in ("unsubscribed", "complained", "accepted", "failed_temporary")) > 0
    assert sum(counts.values()) == len(newsletter().events)


def test_most_deliveries_come_in_the_first_third() -> None:
    times = [event.timestamp for event in newsletter().events if event.event_type == "delivered"]
    assert sum(at < START + DURATION / 3 for at in times) > 0.95 * len(times)


def test_hard_cases_occur() -> None:
    several = items()
    codes = {str((item.get("delivery-status") or {}).get("code")) for item in several}
    assert {"605", "607", "550", "450"} <= codes
    assert any(item.get("flags") == {"is-delayed-bounce": True} for item in several)
    without = [item for item in several if not item.get("user-variables")]
    assert without
    assert all("message-id" in {name.lower() for name in item["message"]["headers"]} for item in without)
    assert any("message-id" not in {name.lower() for name in item["message"]["headers"]} for item in several)
    addresses = {newsletter().address(number) for number in range(newsletter().recipients)}
    assert any(item["recipient"] not in addresses for item in several)
    assert max(Counter(event.timestamp for event in newsletter().events).values()) > 1


def test_some_delivered_mails_bounce_later() -> None:
    truth = expected_recipients(newsletter()).values()
    bounced = [each for each in truth if each.failed_at is not None and each.first_delivered_at is not None]
    assert bounced
    assert all(each.delivered_at is None for each in bounced)


def test_rows_hold_together() -> None:
    made = plan(2500, seed=1, start=START, duration_seconds=1, late_seconds=0, domain="mg.example.com")
    recipients, batches = list(made.recipient_rows()), list(made.batch_rows())
    assert [len(batches), len(recipients)] == [3, 2500]
    assert len({provider_id for _, _, provider_id in batches}) == 3
    assert max(Counter(row[2] for row in recipients).values()) == 1000
    assert len({row[4].lower() for row in recipients}) == 2500
    assert [(row[3], row[4]) for row in recipients] == list(made.member_rows())
    assert [row[0] for row in made.subscription_rows()] == [row[3] for row in recipients]
    assert {row[0] for row in batches} == {row[2] for row in recipients}
    assert any(row[2] is None for row in made.subscription_rows())
    assert list(made.recipient_rows([2, 0])) == [recipients[2], recipients[0]]


def made_of(*events: dict[str, Any]) -> RecipientTruth:
    bare = plan(1, seed=1, start=START, duration_seconds=1, late_seconds=0, domain="mg.example.com")
    given = [
        SimulatedEvent({"recipient": bare.address(0).upper(), **event}, event["timestamp"], event["event"], "i", 0)
        for event in events
    ]
    [truth] = expected_recipients(msgspec.structs.replace(bare, events=given)).values()
    return truth


@pytest.mark.parametrize(
    ("events", "truth"),
    [
        ([], RecipientTruth()),
        (
            [{"event": "delivered", "timestamp": 9.0019}, {"event": "delivered", "timestamp": 8.1239}],
            RecipientTruth(first_delivered_at=8123, delivered_at=8123),
        ),
        (
            [
                {"event": "failed", "severity": "permanent", "timestamp": 9.0},
                {"event": "delivered", "timestamp": 8.0},
                {"event": "failed", "severity": "temporary", "timestamp": 7.0},
            ],
            RecipientTruth(failed_at=9000, first_delivered_at=8000),
        ),
        (
            [
                {"event": "opened", "timestamp": 5.0},
                {"event": "opened", "timestamp": 4.5},
                {"event": "clicked", "timestamp": 4.0},
                {"event": "accepted", "timestamp": 1.0},
                {"event": "complained", "timestamp": 1.0},
            ],
            RecipientTruth(opened_at=4500, clicked_at=4000),
        ),
    ],
)
def test_what_must_come_of_events(events: list[dict[str, Any]], truth: RecipientTruth) -> None:
    assert made_of(*events) == truth


def test_those_whose_events_come_first_can_be_held_back() -> None:
    held = first_to_be_seen(newsletter(), 3)
    assert len(set(held.numbers)) == 3
    ours = sorted(event.visible_at for event in newsletter().events if event.event_type != "accepted")
    assert ours[2] <= held.visible_at < ours[10]


def test_none_can_be_held_back_where_there_are_none() -> None:
    nobody = plan(0, seed=1, start=START, duration_seconds=1, late_seconds=0, domain="mg.example.com")
    assert first_to_be_seen(nobody, 2) == HeldBack((), START)


def tables_of(*events: dict[str, Any]) -> dict[str, Rows]:
    """What must become of one recipient whose events are these, in this order."""
    bare = plan(1, seed=1, start=START, duration_seconds=0, late_seconds=0, domain="mg.example.com")
    given = [
        SimulatedEvent({"recipient": bare.address(0), "id": f"i{place}", **event}, 0.0, event["event"], "", 0)
        for place, event in enumerate(events)
    ]
    return expected_tables(msgspec.structs.replace(bare, events=given))


def failed(severity: str, timestamp: float, **status: Any) -> dict[str, Any]:
    return {"event": "failed", "severity": severity, "timestamp": timestamp, "delivery-status": status}


def test_a_permanent_failure_is_kept_before_every_temporary_one() -> None:
    temporary = [failed("temporary", at, code=450, message="Wait", description=None) for at in (2.0, 9.0)]
    permanent = [
        failed("permanent", at, code="550", message="", description=None, **{"bounce-code": "5.1.1"})
        for at in (5.0, 4.0)
    ]
    [(_, kept)] = tables_of(*temporary)["email_recipient_failures"].items()
    assert kept[2:] == ("temporary", 450, None, "Wait", 9000, "i1")
    [(_, kept)] = tables_of(*temporary, *permanent)["email_recipient_failures"].items()
    assert kept[2:] == ("permanent", 550, "5.1.1", "Error 5.1.1", 4000, "i3")


def test_a_complaint_and_what_mailgun_has_on_its_lists_suppress() -> None:
    listed = failed("permanent", 5.0, code="605", message="", description="Not delivering")
    tables = tables_of({"event": "complained", "timestamp": 5.0004}, listed, {"event": "complained", "timestamp": 4.9})
    [(address, told)] = tables["suppressions"].items()
    assert told[0] == "spam"
    assert told[2:] == (4900, "i2")
    [((suppressed, member_id), _)] = tables["suppression_members"].items()
    assert (suppressed,) == address
    assert tables["members"][member_id,][0] is True
    [complaint] = tables["email_spam_complaint_events"].values()
    assert complaint[1:] == (4900, "i2")
    assert tables_of(listed)["suppressions"][address][0] == "bounce"
    other = failed("permanent", 5.0, code=606, message="", description="Not delivering")
    assert "suppressions" not in tables_of(other)


def test_who_unsubscribes_leaves_the_newsletter_and_who_opens_was_seen() -> None:
    tables = tables_of(*({"event": name, "timestamp": at} for name, at in (("opened", 3.0), ("opened", 7.0019))))
    [member] = tables["members"].values()
    assert member == (False, 7001, 1, 1, 1, 1, None)
    assert len(tables["members_newsletters"]) == 1
    [email] = tables["emails"].values()
    assert email == (1, 0, 1, 0, 0)
    tables = tables_of({"event": "unsubscribed", "timestamp": 3.0})
    assert "members_newsletters" not in tables
    assert list(tables["email_unsubscribe_events"]) == [("i0", 3000)]
