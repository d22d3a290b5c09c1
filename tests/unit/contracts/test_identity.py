"""Instants, ids and addresses as the fetcher and the processor both read them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import identity

S = 1_000_000


@pytest.mark.parametrize(
    ("given_time", "micros"),
    [
        (1787220005.6585283, 1_787_220_005_658_528),
        (1787220005.999999, 1_787_220_005_999_999),
        (1787220004.626182, 1_787_220_004_626_182),
        (1787220004, 1_787_220_004 * S),
        (1787220004.0, 1_787_220_004 * S),
        ("1787220004.626182", 1_787_220_004_626_182),
        (" 1787220004 ", 1_787_220_004 * S),
        (1787220004626, 1_787_220_004_626_000),
        (1787220004626182, 1_787_220_004_626_182),
        (1787220004626182999, 1_787_220_004_626_182),
        ("2026-08-20T10:00:04.626182Z", 1_787_220_004_626_182),
        ("2026-08-20T12:00:04+02:00", 1_787_220_004 * S),
        ("Thu, 20 Aug 2026 10:00:04 +0000", 1_787_220_004 * S),
        (0.0005, 500),
        (1e-7, None),
    ],
)
def test_instants_in_every_form(given_time: Any, micros: int | None) -> None:
    assert identity.occurred_at(given_time) == micros


@pytest.mark.parametrize(
    "given_time",
    [
        *(
            None,
            True,
            False,
            0,
            0.0,
            -1,
            -5.5,
            float("nan"),
            float("inf"),
            10**400,
            10**22,
            "",
            "soon",
            "1_000",
            [],
            {},
        ),
        *("nan", "Infinity", "-5", "9" * 100, 253402300800.0 * 10**9, "10000-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_instant(given_time: Any) -> None:
    assert identity.occurred_at(given_time) is None


def test_the_first_usable_of_the_two_times_counts() -> None:
    assert identity.occurred_at("soon", "2026-08-20T10:00:04Z") == 1_787_220_004 * S
    assert identity.occurred_at(1787220004, "2026-08-20T10:00:05Z") == 1_787_220_004 * S


@given(st.integers(10**15, 2**32 * S))
def test_microseconds_survive_the_way_through_a_double(micros: int) -> None:
    """Six decimals are exact as doubles until the year 2106; cutting digits must not lose one."""
    assert identity.occurred_at(float(f"{micros // S}.{micros % S:06d}")) == micros


@given(st.floats() | st.integers() | st.text() | st.none() | st.booleans())
def test_any_value_has_an_instant_or_none(value: Any) -> None:
    found = identity.occurred_at(value)
    assert found is None or 0 < found < 253_402_300_800 * S


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_an_item_without_an_id_has_one_whatever_the_order_of_its_members(item: dict[str, Any]) -> None:
    item.pop("id", None)
    found = identity.event_id(item)
    assert found.startswith("sha256:")
    assert len(found) == 71
    assert identity.event_id(dict(reversed(item.items()))) == found


def test_canonical_json_is_rfc_8785() -> None:
    item = {"b": 1.0, "a": [1e21, 0.1, "é\n"], "c": 2**60}
    assert identity.canonical_json(item) == '{"a":[1e+21,0.1,"é\\n"],"b":1,"c":1152921504606847000}'.encode()


@pytest.mark.parametrize(
    ("recipient", "address"),
    [
        ("a@example.com", "a@example.com"),
        ("  A@Example.com ", "A@Example.com"),
        ("Ann Lee <Ann@example.com>", "Ann@example.com"),
        ("<ann@example.com>", "ann@example.com"),
        ('"Lee, Ann" <ann@example.com>', "ann@example.com"),
        ("https://hook.example.com/x", "https://hook.example.com/x"),
        ("", None),
        ("   ", None),
        (None, None),
        (5, None),
    ],
)
def test_recipients(recipient: Any, address: str | None) -> None:
    assert identity.address(recipient) == address


@pytest.mark.parametrize("recipient", ["(" * 5_000 + "<a@example.com>", "a:b," * 25_000 + "<a@example.com>"])
def test_what_the_address_parser_cannot_bear_is_read_plainly(recipient: str) -> None:
    """It recurses into comments and groups; one recipient must not end a process."""
    assert identity.address(recipient) == "a@example.com"


def test_an_item_that_is_no_object_has_the_hash_of_itself() -> None:
    assert identity.event_id(42) == "sha256:73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049"


def test_the_first_integer_that_is_no_exact_double_is_canonical_too() -> None:
    assert identity.canonical_json({"é": 2**53}) == '{"é":9007199254740992}'.encode()


def test_ids_are_kept_short_and_told_apart() -> None:
    assert identity.bounded("N4FeCfOIbSSFj1JQ61OiWQ") == "N4FeCfOIbSSFj1JQ61OiWQ"
    kept = {identity.bounded("x" * 1_000_000), identity.bounded("x" * 1_000_001), identity.bounded("\ud800" * 300)}
    assert len(kept) == 3
    assert all(len(each) == 71 for each in kept)


def test_keys_hold_u_fffd_for_what_utf8_cannot() -> None:
    assert identity.raw_key("m\ud800", "A@x") == "m\ufffd|a@x".encode()
