"""Ranges, directions and limits as the simulated Events API reads them."""

from __future__ import annotations

import pytest

from services.sandbox.mailgun.queries import BadRequest, Query, Range, read_query
from services.sandbox.mailgun.tokens import Position, Token, decode, encode

NOW, EDGE = 1_787_220_000_000, 1_787_000_000_000


def read(**parameters: str) -> Query:
    named = [(name.replace("_", "-"), value) for name, value in parameters.items()]
    return read_query(named, now_ms=NOW, edge_ms=EDGE)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1787219000", 1_787_219_000_000),
        ("1787219000.123", 1_787_219_000_123),
        ("1787219000.1239999", 1_787_219_000_123),
        ("Thu, 20 Aug 2026 10:00:00 +0000", 1_787_220_000_000),
        ("Thu, 20 Aug 2026 12:00:00 +0200", 1_787_220_000_000),
        ("Thu, 20 Aug 2026 10:00:00 -0000", 1_787_220_000_000),
    ],
)
def test_begin_is_epoch_seconds_or_an_rfc_2822_date_cut_to_milliseconds(text: str, instant: int) -> None:
    assert read(begin=text, ascending="yes").range == Range(instant, None, ascending=True)


def test_the_order_of_begin_and_end_says_the_direction() -> None:
    assert read(begin="100", end="200").range == Range(100_000, 200_000, ascending=True)
    assert read(begin="200", end="100").range == Range(200_000, 100_000, ascending=False)


def test_without_a_range_reading_goes_down_from_now() -> None:
    assert read().range == Range(NOW, None, ascending=False)


def test_ascending_alone_reads_from_the_edge_of_the_retention() -> None:
    assert read(ascending="true").range == Range(EDGE, None, ascending=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"begin": "100", "end": "100"},
        {"begin": "100", "end": "200", "ascending": "no"},
        {"begin": "200", "end": "100", "ascending": "yes"},
        {"begin": "100"},
        {"end": "100"},
    ],
)
def test_an_inconsistent_range_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match=r"^Inconsistent range: "):
        read(**parameters)


def test_the_refusal_of_a_range_echoes_it() -> None:
    with pytest.raises(BadRequest) as refusal:
        read(begin="1787220000", end="1787220000", ascending="yes")
    at = "2026-08-20 10:00:00+00:00"
    assert str(refusal.value) == f"Inconsistent range: begin={at}, end={at}, ascending=True"


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "301"},
        {"limit": "ten"},
        {"begin": "yesterday", "ascending": "yes"},
        {"ascending": "up"},
        {"pretty": "very"},
        {"event": "(failed"},
        {"tag": "digest"},
    ],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        read(**parameters)


def test_the_limit_is_100_unless_said() -> None:
    assert (read().limit, read(limit="1").limit, read(limit="300").limit) == (100, 1, 300)


def test_a_field_given_twice_must_match_twice() -> None:
    query = read_query([("event", "opened"), ("event", "clicked")], now_ms=NOW, edge_ms=EDGE)
    assert query.filters == (("event", "opened"), ("event", "clicked"))


@pytest.mark.parametrize(
    "query",
    [
        Query(Range(100_123, 200_456, ascending=True), (("event", "opened OR clicked"), ("tags", "a")), 300),
        Query(Range(200_456, 100_123, ascending=False), (), 1),
        Query(Range(100_123, None, ascending=True), (), 7),
        Query(Range(100_123, None, ascending=False), (("subject", "who? >~"),), 7),
    ],
)
@pytest.mark.parametrize("position", [Position(150_789, "-a_b", back=True), Position(150_789), Position(1, "x")])
def test_a_token_carries_query_and_position(query: Query, position: Position) -> None:
    assert decode(encode(Token(query, position), domain="mg.example.com")) == Token(query, position)


@pytest.mark.parametrize("text", ["", "e30=", "bm9uc2Vuc2U=", "%%%", "W10="])
def test_a_foreign_token_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid page token"):
        decode(text)
