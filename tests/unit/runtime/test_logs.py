"""No address and no secret gets into a log."""

from __future__ import annotations

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import logs
from services.runtime.logs import Redaction, Repeats

HIDE = Redaction(b"key", ("s3cret-key",))


@pytest.mark.parametrize(
    "text",
    [
        "bounced ann@example.com at once",
        "<Ann.Lee+news@sub.example.co.uk>",
        'to="ann@example.com",',
        "jürgen@bücher.example",
        "mailto:ann@example.com.",
    ],
)
def test_addresses_become_hashes(text: str) -> None:
    hidden = HIDE.hide_text(text)
    assert "@" not in hidden
    assert "address:" in hidden


def test_the_same_address_has_the_same_hash_whatever_its_case() -> None:
    assert HIDE.hide_text("Ann@Example.com") == HIDE.hide_text("ann@example.com")
    assert HIDE.hide_text("ann@example.com") != Redaction(b"other").hide_text("ann@example.com")


def test_credentials_in_urls_are_left_out_and_known_secrets_are_stars() -> None:
    assert HIDE.hide_text("postgresql://user:pw@db.example.com/x") == "postgresql://db.example.com/x"
    assert HIDE.hide_text("key is s3cret-key!") == "key is ********!"


def test_values_are_hidden_at_any_depth() -> None:
    event = HIDE(None, "info", {"a": ["x@example.com"], "b": {"y@example.com": ("z@example.com", 1, None)}})
    assert "@" not in str(event)


@given(st.text(alphabet="abcdefghij0123456789._+-", min_size=1), st.text(alphabet="abcxyz", min_size=1))
def test_no_address_of_ordinary_letters_slips_by(local: str, host: str) -> None:
    assert f"{local}@" not in HIDE.hide_text(f"failed for {local}@{host}.example.com (550)")


def test_a_line_is_json_with_the_service_and_the_standard_librarys_logs_look_alike() -> None:
    stream = io.StringIO()
    logs.configure("fetcher", level="INFO", redaction=HIDE, stream=stream)
    logs.get("x").info("page_published", domain="mg.example.com", who="ann@example.com")
    logging.getLogger("librdkafka").warning("cannot reach ann@example.com")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"].split()[0] for line in lines] == ["page_published", "cannot"]
    assert all(line["service"] == "fetcher" and line["timestamp"].endswith("Z") for line in lines)
    assert "@" not in stream.getvalue()


def test_librdkafka_says_the_same_once_in_ten_seconds() -> None:
    """A broker that is away makes it say so twenty times a second; other lines pass."""
    repeats = Repeats(10.0)
    lines = ["FAIL 127.0.0.1:1 refused (after 0ms)", "FAIL 127.0.0.1:1 refused (after 5ms)", "GETPID failed"]
    records = [logging.makeLogRecord({"msg": line, "created": 100.0 + at}) for at, line in enumerate(lines)]
    assert [repeats.filter(record) for record in records] == [True, False, True]
    assert repeats.filter(logging.makeLogRecord({"msg": lines[0], "created": 111.0}))
