"""Real events in unusual shapes: all the forms of fields that have been seen, none of which changes what happened.

Event, time, recipient and severity stay; and an event can still be resolved, by its message id or by its variable.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]


def vary(item: Item, choose: Callable[[int], int]) -> Item:
    """The item in one of its unusual shapes; ``choose(n)`` picks a number below ``n``. Takes the item over."""
    VARIATIONS[choose(len(VARIATIONS))](item)
    return item


def _has_message_id(item: Item) -> bool:
    return "message-id" in item["message"]["headers"]


def variables_as_text(item: Item) -> None:
    """The whole object as JSON text, as the Logs API has it."""
    item["user-variables"] = json.dumps(item["user-variables"])


def variables_unreadable(item: Item) -> None:
    """The sentence that stands where variables were too long."""
    if _has_message_id(item):
        item["user-variables"] = "Could not load user-variables. They were either truncated or invalid JSON"


def variables_nested(item: Item) -> None:
    """More variables than ours, one of them an object, one of them JSON text."""
    own = item["user-variables"]
    item["user-variables"] = {**own, "segment": {"ids": [1, 2]}, "flags": '{"a": null}'} if own else {}


def variables_gone(item: Item) -> None:
    """No such field."""
    if _has_message_id(item):
        del item["user-variables"]


def message_id_only(item: Item) -> None:
    """No other header."""
    headers = item["message"]["headers"]
    item["message"] = {"headers": {name: text for name, text in headers.items() if name == "message-id"}}


def message_id_spelt_otherwise(item: Item) -> None:
    """The header's name in capitals, its value in brackets, with blanks."""
    headers = item["message"]["headers"]
    if "message-id" in headers:
        headers["Message-Id"] = f" <{headers.pop('message-id')}> "


def code_as_text(item: Item) -> None:
    """Digits instead of a number."""
    status = item.get("delivery-status")
    if status and "code" in status:
        status["code"] = str(status["code"])


def delivery_status_null(item: Item) -> None:
    """Null; only where it says nothing that counts."""
    if item["event"] == "delivered":
        item["delivery-status"] = None


def lists_for_objects(item: Item) -> None:
    """Empty lists where objects are expected, and null where lists are."""
    item.update({"storage": [], "flags": None, "tags": None, "envelope": []})


def unknown_fields(item: Item) -> None:
    """What Mailgun may add tomorrow: further fields, further flags, any text."""
    item["account"] = {"id": "66c4a0000000000000000abc"}
    item["x-new-field"] = [{"text": 'tab\t, quote ", line\n, umlaut \u00e4, astral \U0001f4ec'}, 1e-7, None]


VARIATIONS: tuple[Callable[[Item], None], ...] = (
    variables_as_text,
    variables_unreadable,
    variables_nested,
    variables_gone,
    message_id_only,
    message_id_spelt_otherwise,
    code_as_text,
    delivery_status_null,
    lists_for_objects,
    unknown_fields,
)
