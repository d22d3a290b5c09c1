"""The sample items of ``tests/fixtures/mailgun``, and small items for one rule at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.contracts.events import RawMailgunEvent

FIXTURES = Path(__file__).parents[1] / "fixtures" / "mailgun"


def sample(name: str) -> dict[str, Any]:
    """One sample item."""
    item: dict[str, Any] = json.loads((FIXTURES / name).read_bytes())
    return item


def sample_names() -> list[str]:
    """The files of all sample items."""
    return sorted(path.name for path in FIXTURES.glob("*.json"))


def expected() -> dict[str, dict[str, Any]]:
    """The normal form of each sample item, by file."""
    cases: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected" / "expected.json").read_bytes())["cases"]
    return cases


def item(event: str = "delivered", **fields: Any) -> dict[str, Any]:
    """A small item; ``fields`` replace its own, with ``_`` for ``-``. None leaves a field out."""
    whole = {
        "event": event,
        "id": "Ase7i2zsRYeDXztHGENqRA",
        "timestamp": 1787220004.626817,
        "recipient": "alice@example.com",
        "message": {"headers": {"message-id": "20260820100000.dd2a3dae9ac35f26@mg.example.com"}},
        "user-variables": {"email-id": "e1"},
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    return {name: value for name, value in whole.items() if value is not None}


def payload(value: Any) -> bytes:
    """The JSON of a value, as Mailgun writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def raw(whole: Any, event_id: str = "Ase7i2zsRYeDXztHGENqRA") -> RawMailgunEvent:
    """The raw event of an item."""
    content = whole if isinstance(whole, bytes) else payload(whole)
    return RawMailgunEvent(event_id, "mg.example.com", "latest", None, 1787220064_000000, content)
