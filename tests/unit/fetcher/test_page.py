"""What is read out of Mailgun's answer, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.fetcher.core.page import BadPage, is_same_origin, read_page

NEXT = "https://api.mailgun.net/v3/mg.example.com/events/abc"
ITEM: dict[str, Any] = {
    "event": "delivered",
    "id": "N4FeCfOIbSSFj1JQ61OiWQ",
    "timestamp": 1787220004.626182,
    "recipient": "Alice@Example.com",
    "message": {"headers": {"message-id": "20260820.dd2a@mg.example.com"}, "size": 3},
}


def body(*items: Any, **paging: str) -> bytes:
    return json.dumps({"items": items, "paging": paging or {"next": NEXT}}).encode()


def test_an_item_is_published_as_it_was_received() -> None:
    raw = (
        b'{"items":[ {"id":"a", "timestamp":1787220004.626182,  "x":1.0e2} ],"paging":{"next":"'
        + NEXT.encode()
        + b'"}}'
    )
    page = read_page(raw)
    assert page.items[0].payload == b'{"id":"a", "timestamp":1787220004.626182,  "x":1.0e2}'
    assert page.next_url == NEXT


def test_the_usual_item_has_id_instant_and_key() -> None:
    item = read_page(body(ITEM)).items[0]
    assert item.event_id == "N4FeCfOIbSSFj1JQ61OiWQ"
    assert item.occurred_at == 1_787_220_004_626_182
    assert item.key == b"20260820.dd2a@mg.example.com|alice@example.com"
    assert item.event_type == "delivered"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"message": {"headers": {"Message-Id": " <m@x> "}}}, b"m@x|alice@example.com"),
        ({"message": {"headers": {"message-id": "<m@x>"}}}, b"m@x|alice@example.com"),
        ({"message": None}, b"|alice@example.com"),
        ({"message": {"headers": {"message-id": 5}}}, b"|alice@example.com"),
        ({"recipient": "Alice <ALICE@example.com>"}, b"20260820.dd2a@mg.example.com|alice@example.com"),
        ({"recipient": 7}, b"20260820.dd2a@mg.example.com|"),
        ({"recipient": None, "message": None}, b"|"),
    ],
)
def test_odd_items_are_read_the_slow_way(change: dict[str, Any], key: bytes) -> None:
    page = read_page(body({**ITEM, **change}, ITEM))
    assert page.items[0].key == key
    assert page.items[1].event_id == ITEM["id"]


@pytest.mark.parametrize("given", [None, "", 17, ["x"]])
def test_an_item_without_a_usable_id_gets_one_of_its_content(given: Any) -> None:
    first = read_page(body({**ITEM, "id": given})).items[0]
    reordered = dict(reversed([*{**ITEM, "id": given}.items()]))
    assert first.event_id.startswith("sha256:")
    assert read_page(body(reordered)).items[0].event_id == first.event_id


@pytest.mark.parametrize("item", [None, 5, "text", [], True])
def test_what_is_no_object_is_published_too(item: Any) -> None:
    page = read_page(body(item, ITEM))
    assert json.loads(page.items[0].payload) == item
    assert page.items[0].occurred_at is None


@pytest.mark.parametrize(
    "text",
    [
        '{"id":"a","timestamp":NaN}',
        '{"id":"a","x":"\\ud800"}',
        '{"id":"\\ud800"}',
        '{"id":"a","x":Infinity}',
        '{"id":"a","x":' + "9" * 400 + "}",
        '{"x":' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_what_pythons_json_reads_never_fails_its_page(text: str) -> None:
    page = read_page(f'{{"items":[{text},{json.dumps(ITEM)}],"paging":{{"next":"{NEXT}"}}}}'.encode())
    assert len(page.items) == 2
    page.items[0].payload.decode("utf-8")
    page.items[0].event_id.encode("utf-8")
    assert page.items[1].event_id == ITEM["id"]


def test_bytes_that_are_no_utf8_are_replaced_and_told() -> None:
    raw = body({**ITEM, "x": "QQ"}).replace(b"QQ", b"\xff\xfe")
    page = read_page(raw)
    assert page.replaced
    assert json.loads(page.items[0].payload)["x"] == "\ufffd\ufffd"


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>504</html>",
        b"",
        b"{",
        body(ITEM)[:-20],
        b"[]",
        b'{"items":5}',
        b'{"paging":{}}',
        b'{"items":[{}],"paging":{}}',
        b'{"items":[{}],"paging":null}',
        b'{"items":[{}],"paging":{"next":5}}',
        b'{"items":[{}]}',
        b'{"items":' + b"[" * 100_000,
        b'{"items":[{"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}]}",
    ],
)
def test_what_is_no_page_is_refused(answer: bytes) -> None:
    with pytest.raises(BadPage) as caught:
        read_page(answer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("answer", [b'{"items":[]}', b'{"items":[],"paging":{}}', b'{"items":[],"paging":null}'])
def test_an_empty_page_needs_no_links(answer: bytes) -> None:
    assert read_page(answer).items == []


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://api.mailgun.net/v3/x/events/t", True),
        ("https://api.mailgun.net:443/v3/x", True),
        ("https://API.mailgun.net/v3/x", True),
        ("http://api.mailgun.net/v3/x", False),
        ("https://api.eu.mailgun.net/v3/x", False),
        ("https://api.mailgun.net:8443/v3/x", False),
        ("https://user:pw@api.mailgun.net/v3/x", False),
        ("https://api.mailgun.net.example.com/v3/x", False),
        ("//api.mailgun.net/v3", False),
        ("https://api.mailgun.net:port/v3", False),
    ],
)
def test_links_are_followed_on_the_configured_host_only(url: str, same: bool) -> None:
    assert is_same_origin("https://api.mailgun.net", url) is same


@pytest.mark.parametrize("depth", range(900, 1_010, 3))
def test_at_any_depth_there_is_a_page_or_a_refusal(depth: int) -> None:
    """Where one reader of JSON still follows and another does not any more."""
    text = f'{{"items":[{{"x":{"[" * depth}{"]" * depth}}}],"paging":{{"next":"{NEXT}"}}}}'
    try:
        assert len(read_page(text.encode()).items) == 1
    except BadPage:
        assert depth > 900


def test_a_huge_id_does_not_get_into_the_cursor() -> None:
    """The item is published with it; the state of the loop has to stay small."""
    item = read_page(body({**ITEM, "id": "x" * 1_000_000})).items[0]
    assert len(item.event_id) == 1_000_000
    assert len(item.seen.event_id) == 71
