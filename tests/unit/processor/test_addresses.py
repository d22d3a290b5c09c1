"""When two spellings are one address."""

from __future__ import annotations

import unicodedata

import pytest

from services.processor.core.addresses import comparison_key, spellings


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice@Example.COM", "alice@example.com"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@BÜCHER.example", "Alice@XN--BCHER-KVA.Example"),
        ("jürgen@example.com", unicodedata.normalize("NFD", "JÜRGEN@example.com")),
        ("alice@a_b.bücher.example", "alice@a_b.xn--bcher-kva.example"),
        ("alice@i❤.example", "alice@xn--i-7iq.example"),
        ("alice@straße.example", "alice@xn--strae-oqa.example"),
        ("alice@bücher。example", "alice@bücher.example"),
    ],
)
def test_spellings_of_one_address_are_equal(one: str, other: str) -> None:
    assert comparison_key(one) == comparison_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice@example.com", "alice@example.org"),
        ("alice+news@example.com", "alice@example.com"),
        ("jurgen@example.com", "jürgen@example.com"),
        ("alice@strasse.example", "alice@straße.example"),
        ("alice@bucher.example", "alice@bücher.example"),
        ("xn--bcher-kva@example.com", "bücher@example.com"),
        ("alice", "alice@"),
    ],
)
def test_different_addresses_are_not_equal(one: str, other: str) -> None:
    assert comparison_key(one) != comparison_key(other)


def test_a_plain_address_has_one_spelling() -> None:
    assert spellings("Alice@Example.com") == ("alice@example.com",)


@pytest.mark.parametrize(
    "received", ["jürgen@bücher.example", "JÜRGEN@xn--bcher-kva.example", "ju\u0308rgen@bücher.example"]
)
def test_a_row_may_have_the_domain_in_either_form_and_the_characters_composed_or_not(received: str) -> None:
    assert {
        "jürgen@bücher.example",
        "jürgen@xn--bcher-kva.example",
        "ju\u0308rgen@bu\u0308cher.example",
        "ju\u0308rgen@xn--bcher-kva.example",
    } <= set(spellings(received))


@pytest.mark.parametrize("address", ["ΝΙΚΟΣ@example.com", "JÜRGEN@example.com"])
def test_a_row_with_the_text_that_was_received_is_found_however_the_database_lowers(address: str) -> None:
    by_character = "".join(character.lower() for character in address)
    only_ascii = "".join(character.lower() if character.isascii() else character for character in address)

    assert {by_character, only_ascii} <= set(spellings(address))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        pytest.param("a@" + "ü" * 1_000_000, id="a domain of a million characters"),
        pytest.param("a" + "\u0301\u0300" * 500_000 + "@example.com", id="a million accents"),
        "a@\ud800.example",
        "a@xn--",
        "a@xn--99999999999.example",
        "a@xn--\u0301",
        "https://hooks.exämple.org/inbound",
    ],
)
@pytest.mark.timeout(5)
def test_what_is_no_address_has_a_key_and_spellings_all_the_same(address: str) -> None:
    assert comparison_key(comparison_key(address)) == comparison_key(address)
    assert address.lower() in spellings(address)
