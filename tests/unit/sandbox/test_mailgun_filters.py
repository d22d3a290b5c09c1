"""Filter expressions of the simulated Events API."""

from __future__ import annotations

from typing import Any

import pytest

from services.sandbox.mailgun.filters import BadFilter, parse, values

EVENT: dict[str, Any] = {
    "event": "failed",
    "severity": "permanent",
    "recipient": "Anna@example.com",
    "tags": ["digest", "weekly news"],
    "mailing-list": {"address": "all@mg.example.com"},
    "message": {
        "size": 120,
        "recipients": ["a@example.com", "b@example.com"],
        "attachments": [{"filename": "Plan.pdf"}],
        "headers": {
            "from": "News <news@example.com>",
            "to": "Anna <anna@example.com>",
            "subject": "Hello world",
            "message-id": "1.abc@mg.example.com",
        },
    },
}


@pytest.mark.parametrize(
    ("field", "expression"),
    [
        ("event", "failed"),
        ("event", "delivered OR failed"),
        ("event", "NOT delivered"),
        ("event", "NOT (delivered OR opened)"),
        ("event", "failed AND NOT delivered"),
        ("event", "FAILED"),
        ("severity", "permanent"),
        ("recipient", "anna@example.com"),
        ("recipient", '"anna@example.com"'),
        ("recipients", "b@example.com"),
        ("tags", "digest"),
        ("tags", 'digest AND "weekly news"'),
        ("tags", 'digest "weekly news"'),
        ("list", "all@mg.example.com"),
        ("from", "news@example.com"),
        ("to", "anna"),
        ("subject", "hello"),
        ("subject", '"hello world"'),
        ("attachment", "plan.pdf"),
        ("message-id", "1.abc@mg.example.com"),
        ("size", "120"),
        ("size", ">100"),
        ("size", ">100 <200"),
    ],
)
def test_an_expression_matches(field: str, expression: str) -> None:
    assert parse(field, expression)(values(field, EVENT))


@pytest.mark.parametrize(
    ("field", "expression"),
    [
        ("event", "delivered"),
        ("event", "failed AND delivered"),
        ("event", "failed delivered"),
        ("event", "NOT failed"),
        ("event", "fail"),
        ("severity", "temporary"),
        ("recipient", "anna"),
        ("tags", "digest AND monthly"),
        ("tags", "weekly"),
        ("subject", "goodbye"),
        ("size", ">120"),
        ("size", ">10 <20"),
        ("message-id", '"<1.abc@mg.example.com>"'),
    ],
)
def test_an_expression_does_not_match(field: str, expression: str) -> None:
    assert not parse(field, expression)(values(field, EVENT))


def test_or_binds_less_than_and() -> None:
    both_or = parse("tags", "a AND b OR c")
    assert both_or(["c"])
    assert not both_or(["a"])


def test_brackets_of_a_message_id_are_operators_and_find_unrelated_events() -> None:
    matches = parse("message-id", "<1.abc@mg.example.com>")
    assert matches(["0.other@mg.example.com"])
    assert not matches(["1.abc@mg.example.com"])


@pytest.mark.parametrize(
    ("field", "expression"),
    [
        ("event", ""),
        ("event", "(failed"),
        ("event", "failed)"),
        ("event", "OR failed"),
        ("event", "failed OR"),
        ("event", 'subject "open'),
        ("event", "NOT"),
        ("size", "big"),
        ("size", ">big"),
    ],
)
def test_an_expression_without_meaning_is_refused(field: str, expression: str) -> None:
    with pytest.raises(BadFilter, match="bad filter"):
        parse(field, expression)


@pytest.mark.parametrize("field", ["tags", "recipients", "size", "list", "attachment", "subject", "recipient"])
@pytest.mark.parametrize("shape", [{}, {"message": None, "tags": 5, "mailing-list": []}, {"message": {"headers": []}}])
def test_a_field_that_is_missing_or_of_another_shape_has_no_values(field: str, shape: dict[str, Any]) -> None:
    assert values(field, shape) == []
