"""Rules N1-N12, rule by rule, and on every sample item."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.contracts.outcome import Reject
from services.contracts.reasons import DeadReason, EventType
from services.processor.core.item import normalise_item
from services.processor.core.normal_form import NormalForm, normal_form
from services.processor.core.normalise import normalise
from services.processor.core.normalised import Failure, Normalised
from tests.support.mailgun_items import FIXTURES, expected, item, payload, sample, sample_names


def normalised(whole: dict[str, Any]) -> Normalised:
    """The normal form of an item that has one."""
    result = normalise(payload(whole))
    assert isinstance(result, Normalised)
    return result


def failure(status: Any = None, **fields: Any) -> Failure:
    """What a failed item says of its failure."""
    found = normalised(item("failed", delivery_status=status, **fields)).failure
    assert found is not None
    return found


def form(whole: dict[str, Any]) -> NormalForm:
    """The complete normal form of an item that has one."""
    result = normal_form(payload(whole))
    assert isinstance(result, NormalForm)
    return result


def reason(content: bytes) -> DeadReason:
    """Why an item is a dead letter."""
    result = normalise(content)
    assert isinstance(result, Reject)
    return result.reason


def test_each_sample_item_has_an_expected_outcome() -> None:
    assert sample_names() == sorted(expected())


@pytest.mark.parametrize("name", sample_names())
def test_a_sample_item_gives_its_expected_outcome(name: str) -> None:
    result = normal_form((FIXTURES / name).read_bytes())

    assert msgspec.to_builtins(result) | {"verdict": "ok"} == expected()[name]


@pytest.mark.parametrize("name", sample_names())
def test_the_fast_way_agrees_with_the_rules_on_a_sample_item(name: str) -> None:
    assert normalise(payload(sample(name))) == normalise_item(sample(name))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"event":"opened"',
        b"\xff",
        b'{"event":"opened","note":"\xff"}',
        pytest.param(b'{"timestamp":' + b"9" * 5000 + b"}", id="an integer of 5000 digits"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        payload(item())[:-1] + b"\n,}",
    ],
)
def test_what_is_no_json_is_dead(content: bytes) -> None:
    assert reason(content) is DeadReason.NOT_JSON


@pytest.mark.parametrize("content", [b"[]", b'"delivered"', b"1", b"null", b"NaN", b"true"])
def test_json_that_is_no_object_is_dead(content: bytes) -> None:
    assert reason(content) is DeadReason.NOT_OBJECT


@pytest.mark.parametrize("content", [b"{", b"[]", payload({"event": "opened", "recipient": "alice@example.com"})])
def test_an_error_is_one_line_without_address(content: bytes) -> None:
    result = normalise(content)

    assert isinstance(result, Reject)
    assert result.error
    assert result.error.isprintable()
    assert "alice" not in result.error


@pytest.mark.parametrize("event", ["", "  ", 1, True, [], {"name": "opened"}])
def test_an_event_without_the_name_of_a_type_is_dead(event: Any) -> None:
    assert reason(payload(item(event))) is DeadReason.NO_TYPE


@pytest.mark.parametrize("event", ["DELIVERED", " delivered\n", "Delivered"])
def test_a_type_is_known_in_any_case(event: str) -> None:
    assert normalised(item(event)).event_type is EventType.DELIVERED


@pytest.mark.parametrize("event", ["inbox_placement", "trapped", "unknown", "Failed!"])
def test_other_types_are_unknown_and_need_neither_identity_nor_recipient(event: str) -> None:
    whole = {"event": event, "timestamp": 1787220004.5}

    assert normalised(whole) == Normalised(EventType.UNKNOWN, 1787220004_500000, None, None, None)


@pytest.mark.parametrize(
    ("timestamp", "micros"),
    [
        (1787220004.626817, 1787220004_626817),
        (1787220010.5923693, 1787220010_592369),
        (1787220004, 1787220004_000000),
        ("1787220004.626", 1787220004_626000),
        (1787220004626, 1787220004_626000),
        (1787220004626817, 1787220004_626817),
        (1787220004626817123, 1787220004_626817),
        ("2026-08-20T10:00:04.626Z", 1787220004_626000),
        ("Thu, 20 Aug 2026 10:00:04 -0000", 1787220004_000000),
    ],
)
def test_a_time_keeps_its_microseconds_and_is_cut(timestamp: Any, micros: int) -> None:
    found = normalised(item(timestamp=timestamp))

    assert found.occurred_at == micros
    assert found.occurred_at_ms == micros // 1000


@pytest.mark.parametrize("timestamp", [0, -1, True, "", "soon", [], {}, 1e300, "nan", float("nan"), float("inf")])
def test_an_item_without_usable_time_is_dead(timestamp: Any) -> None:
    assert reason(payload(item(timestamp=timestamp))) is DeadReason.NO_TIMESTAMP


@pytest.mark.parametrize("timestamp", [None, "soon", 0])
def test_the_time_of_the_logs_api_is_the_second_choice(timestamp: Any) -> None:
    whole = item(timestamp=timestamp) | {"@timestamp": "2026-08-20T10:00:04.626Z"}

    assert normalised(whole).occurred_at == 1787220004_626000


@pytest.mark.parametrize(
    ("recipient", "address"),
    [
        ("  alice@example.com ", "alice@example.com"),
        ("Alice.O'Neil+News@Example.COM", "Alice.O'Neil+News@Example.COM"),
        ("Alice <alice@example.com>", "alice@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
        ("jürgen@bücher.example", "jürgen@bücher.example"),
    ],
)
def test_an_address_stays_as_received_but_for_blanks_and_the_display_form(recipient: str, address: str) -> None:
    assert normalised(item(recipient=recipient)).recipient == address


@pytest.mark.parametrize(
    "event", ["accepted", "delivered", "failed", "opened", "clicked", "unsubscribed", "complained"]
)
@pytest.mark.parametrize("recipient", [None, "", "  ", 5, ["alice@example.com"]])
def test_seven_types_without_recipient_are_dead(event: str, recipient: Any) -> None:
    assert reason(payload(item(event, recipient=recipient))) is DeadReason.NO_RECIPIENT


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("joan@example.org", "joan@example.org"),
        ("Joan <joan@example.org>", "joan@example.org"),
        ("joan@example.org, john@example.org", None),
        ("%recipient%", None),
        ("", None),
        (7, None),
        pytest.param("joan@example.org," * 1000, None, id="a thousand addresses"),
    ],
)
def test_a_rejected_item_takes_the_only_address_of_its_to_header(header: Any, address: str | None) -> None:
    whole = item("rejected", recipient=None, message={"headers": {"to": header, "message-id": "m"}})

    assert normalised(whole).recipient == address


@pytest.mark.parametrize(
    ("headers", "message_id"),
    [
        ({"message-id": " <a@b> "}, "a@b"),
        ({"Message-Id": "a@b"}, "a@b"),
        ({"message-id": "<<a@b>>"}, "<a@b>"),
        ({"message-id": "<>"}, None),
        ({"message-id": 7}, None),
        (None, None),
    ],
)
def test_a_message_id_loses_blanks_and_one_pair_of_brackets(headers: Any, message_id: str | None) -> None:
    assert normalised(item(message={"headers": headers})).provider_message_id == message_id


@pytest.mark.parametrize(
    "event",
    ["accepted", "delivered", "failed", "opened", "clicked", "unsubscribed", "complained", "rejected", "stored"],
)
def test_nine_types_without_identity_are_dead_before_the_recipient_is_looked_at(event: str) -> None:
    whole = item(event, message=None, user_variables={"email-id": "  "}, recipient=None)

    assert reason(payload(whole)) is DeadReason.NO_IDENTITY


@pytest.mark.parametrize("event", ["list_uploaded", "list_member_uploaded", "email_validation", "other"])
def test_other_types_need_no_identity(event: str) -> None:
    assert normalised(item(event, message=None, user_variables=None, recipient=None)).email_id is None


@pytest.mark.parametrize(
    ("variables", "email_id"),
    [
        ({"email-id": " e7 "}, "e7"),
        ('{"email-id":"e7"}', "e7"),
        ({"email-id": 7}, None),
        ({"email-id": ""}, None),
        ({"email-id": ["e7"]}, None),
        ({"Email-Id": "e7"}, None),
        ('["email-id"]', None),
        ("Could not load user-variables.", None),
        pytest.param("[" * 100_000, None, id="nested too deeply"),
        ([], None),
        (None, None),
    ],
)
def test_the_email_id_is_a_variable_that_is_text(variables: Any, email_id: str | None) -> None:
    assert normalised(item(user_variables=variables)).email_id == email_id


@pytest.mark.parametrize(
    ("severity", "result"),
    [
        ("permanent", "permanent"),
        ("PERMANENT", "permanent"),
        ("temporary", "temporary"),
        ("internal", "temporary"),
        ("", "temporary"),
        (None, "temporary"),
        (5, "temporary"),
    ],
)
def test_the_severity_alone_makes_a_failure_permanent(severity: Any, result: str) -> None:
    assert failure({"code": 550}, severity=severity).severity == result


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (550, 550),
        (0, 0),
        (550.0, 550),
        (" 550 ", 550),
        ("000550", 550),
        (2**31 - 1, 2**31 - 1),
        (2**31, None),
        ("99999999999", None),
        (10**30, None),
        (1e300, None),
        (550.5, None),
        (-1, None),
        ("+550", None),
        ("5.1.1", None),
        ("٥٥٠", None),  # noqa: RUF001 - digits, but not ASCII ones
        (True, None),
        (None, None),
        ([550], None),
    ],
)
def test_a_code_is_a_whole_number_that_is_not_negative(code: Any, result: int | None) -> None:
    assert failure({"code": code}).code == result


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ({"enhanced-code": "5.1.1", "bounce-code": "5.0.0"}, "5.1.1"),
        ({"enhanced-code": 5.1}, "5.1"),
        ({"enhanced-code": 5}, "5"),
        ({"enhanced-code": True}, None),
        ({"enhanced-code": float("nan")}, None),
        ({"enhanced-code": "x" * 60}, "x" * 50),
        ({"enhanced-code": " ", "bounce-code": "5.1.2"}, "5.1.2"),
        ({"enhanced-code": None, "code": "5.1.3"}, "5.1.3"),
        ({"code": "5.1"}, None),
        ({"code": 550}, None),
        ({}, None),
        ([], None),
    ],
)
def test_an_enhanced_code_is_found_in_three_places(status: Any, result: str | None) -> None:
    assert failure(status).enhanced_code == result


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ({"message": "No such user", "description": "other"}, "No such user"),
        ({"message": "", "description": "Suppressed"}, "Suppressed"),
        ({"message": " \n ", "description": "Suppressed"}, "Suppressed"),
        ({"message": "\0\0", "description": "Suppressed"}, "Suppressed"),
        ({"message": None, "description": " "}, None),
        ({"message": ["No such user"]}, None),
        ({"message": "a\0b\ud800c"}, "ab\ufffdc"),
        ({"message": "x" * 1_000_000}, "x" * 2_000),
        ({"message": "\0" * 100 + "é" * 2_001}, "é" * 2_000),
        ("No such user", None),
        (None, None),
    ],
)
def test_a_message_is_clean_text_of_at_most_2000_characters(status: Any, result: str | None) -> None:
    assert failure(status).message == result


@pytest.mark.parametrize(("given", "result"), [("bounce", "bounce"), ("a\0", "a"), ("", None), (5, None), ([], None)])
def test_the_reason_of_a_failure_is_clean_text(given: Any, result: str | None) -> None:
    assert failure({}, reason=given).reason == result


def test_only_failed_items_have_a_failure() -> None:
    assert normalised(item("delivered", severity="permanent", delivery_status={"code": 250})).failure is None


@pytest.mark.parametrize(
    ("status", "reject", "message"),
    [
        (None, {"reason": "Sandbox", "description": "other"}, "Sandbox"),
        (None, {"reason": " ", "description": "Other"}, "Other"),
        (None, "Sandbox", None),
        ({"message": "from the status"}, {"reason": "Sandbox"}, "from the status"),
    ],
)
def test_a_rejected_item_tells_its_reason(status: Any, reject: Any, message: str | None) -> None:
    assert form(item("rejected", delivery_status=status, reject=reject)).message == message


def test_the_complete_form_of_a_dead_item_is_its_reason() -> None:
    assert normal_form(b"[]") == normalise(b"[]")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_whatever_python_reads_as_json_is_json(encoding: str) -> None:
    content = json.dumps(item(), ensure_ascii=False).encode(encoding)

    assert normalise(content) == normalise(payload(item()))


def test_an_item_of_a_megabyte_is_normalised() -> None:
    whole = item(tags=["x" * 1_000_000])

    assert normalise(payload(whole)) == normalise(payload(item()))
