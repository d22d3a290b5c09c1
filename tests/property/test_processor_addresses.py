"""The comparison of addresses is an equivalence, and no spelling of a row is missed."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from services.processor.core.addresses import comparison_key, spellings
from services.processor.core.resolve import Candidate, Lookup, Recipient, decide

letters = st.sampled_from("abzABZ09._-+")
accented = st.sampled_from("äöüÄÖÜéÉñçøØßσΣдДї漢字")
labels = st.text(letters | accented, min_size=1, max_size=8).filter(lambda label: "." not in label)
domains = st.lists(labels, min_size=1, max_size=3).map(".".join)
addresses = st.tuples(st.text(letters | accented, min_size=1, max_size=8), domains).map("@".join)


@st.composite
def respelt(draw: st.DrawFn, address: str) -> str:
    """Another spelling of an address."""
    local, at, domain = address.rpartition("@")
    if draw(st.booleans()):
        domain = comparison_key(address).rpartition("@")[2]  # Punycode
    spelt = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), local + at + domain)
    # Upper case of ß is SS: another address.
    return "".join(each.upper() if each.isascii() and draw(st.booleans()) else each for each in spelt)


pairs = addresses.flatmap(lambda address: st.tuples(st.just(address), respelt(address)))


@given(st.text())
def test_any_text_equals_itself_and_its_key(text: str) -> None:
    assert comparison_key(comparison_key(text)) == comparison_key(text)


@given(pairs)
def test_respelt_addresses_are_equal(pair: tuple[str, str]) -> None:
    one, other = pair

    assert comparison_key(one) == comparison_key(other)


@given(addresses, addresses)
def test_equal_addresses_have_equal_spellings_but_for_the_received_ones(one: str, other: str) -> None:
    equal = comparison_key(one) == comparison_key(other)

    assert equal == bool(set(spellings(one)) & set(spellings(other)))


@given(pairs)
def test_a_row_in_any_spelling_is_asked_for_and_recognised(pair: tuple[str, str]) -> None:
    """The database compares in lower case, made character by character."""
    stored, received = pair
    row = Recipient("r1", "e1", None, stored)
    in_index = "".join(each.lower() for each in stored)

    assert in_index in spellings(received)
    assert decide(Lookup("e1", None, received), [Candidate(row, by_email_id=True)]) == row


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_spellings_and_its_own_is_among_them(text: str) -> None:
    assert text.lower() in spellings(text)
