"""Items as the simulator builds them, and their unusual forms."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

import pytest

from services.sandbox.mailgun import shapes
from services.sandbox.mailgun.events import BadEvent, event_of
from services.sandbox.mailgun.shapes import Mail, Reader, Refusal
from services.sandbox.mailgun.variations import VARIATIONS, vary

AT = 1787220005.6585283
MAIL = Mail("anna@example.com", "mg.example.com", "1.abc@mg.example.com", "e1", "Hello")
READER = Reader("192.0.2.1", "Chrome", "OS X", "browser", "desktop", "Mozilla/5.0", "DE", "Berlin", "Berlin")
REFUSAL = Refusal(550, "5.1.1", "5.1.1 no such mailbox", "bounce", "hard")


def every_shape(mail: Mail) -> list[dict[str, Any]]:
    return [
        shapes.accepted(mail, AT, "i"),
        shapes.delivered(mail, AT, "i", attempt=2),
        shapes.bounced(mail, AT, "i", REFUSAL),
        shapes.temporarily_failed(mail, AT, "i", REFUSAL, attempt=2),
        shapes.suppressed(mail, AT, "i", 605),
        shapes.delayed_bounce(mail, AT, "i"),
        shapes.opened(mail, AT, "i", READER, delivered_at=AT),
        shapes.clicked(mail, AT, "i", READER, delivered_at=AT, url="https://example.com"),
        shapes.unsubscribed(mail, AT, "i", READER),
        shapes.complained(mail, AT, "i"),
    ]


SHAPES = every_shape(MAIL)


@pytest.mark.parametrize("item", SHAPES, ids=lambda item: str(item["event"]))
def test_every_shape_says_what_when_who_and_which_mail(item: dict[str, Any]) -> None:
    assert (item["timestamp"], item["id"], item["recipient"]) == (AT, "i", "anna@example.com")
    assert item["message"]["headers"]["message-id"] == "1.abc@mg.example.com"
    assert item["log-level"] == ("error" if item.get("severity") == "permanent" else item["log-level"])


def test_failures_have_severity_reason_and_status() -> None:
    bounced, temporary, suppressed, delayed = (SHAPES[at] for at in (2, 3, 4, 5))
    assert (bounced["severity"], bounced["reason"], bounced["delivery-status"]["code"]) == ("permanent", "bounce", 550)
    assert (temporary["severity"], temporary["delivery-status"]["retry-seconds"]) == ("temporary", 1200)
    assert (suppressed["reason"], suppressed["delivery-status"]["message"]) == ("suppress-bounce", "")
    assert (delayed["user-variables"], "tags" in delayed, delayed["envelope"]) == ({}, False, {})


def test_variables_and_message_id_are_left_out_when_the_mail_has_none() -> None:
    for item in every_shape(Mail("anna@example.com", "mg.example.com", None, None)):
        assert "message-id" not in item["message"]["headers"]
        assert not item["user-variables"]


def test_ids_are_22_characters_of_url_safe_base64_and_repeat_with_the_seed() -> None:
    first = [shapes.new_id(random.Random(5)) for _ in range(2)]
    assert first[0] == first[1]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first[0])


@pytest.mark.parametrize("variation", range(len(VARIATIONS)), ids=lambda at: str(VARIATIONS[at].__name__))
@pytest.mark.parametrize("message_id", ["1.abc@mg.example.com", None])
def test_no_variation_changes_what_happened_or_loses_the_identity(variation: int, message_id: str | None) -> None:
    for item in every_shape(Mail("anna@example.com", "mg.example.com", message_id, "e1")):
        before = copy.deepcopy(item)
        after = json.loads(json.dumps(vary(item, lambda _: variation)))
        for field in ("event", "timestamp", "id", "recipient", "severity"):
            assert after.get(field) == before.get(field)
        names = {name.lower() for name in after["message"]["headers"]}
        had_variable = bool(before["user-variables"])
        assert message_id is None or "message-id" in names
        assert message_id is not None or not had_variable or "email-id" in json.dumps(after["user-variables"])


@pytest.mark.parametrize("payload", [{}, {"timestamp": "1", "event": "a", "id": "b"}, {"timestamp": 1, "event": "a"}])
def test_an_event_that_lacks_what_the_simulator_needs_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(BadEvent, match="an event needs"):
        event_of(payload)
