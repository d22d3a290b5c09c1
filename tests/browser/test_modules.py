"""The page's pure modules, run in the browser that they are for, and ten thousand loops on it. Without servers."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from services.console import web

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

HOST = "http://console.test"
NOW = 1_700_000_000_000
HOUR = 3_600_000
SPACE = "\u202f"
DASH = "\u2013"


def _served(route: Route) -> None:
    path = PurePosixPath(route.request.url.removeprefix(HOST).partition("?")[0])
    if path.is_relative_to("/static"):
        file = web.STATIC / path.relative_to("/static")
        kind = "text/javascript" if file.suffix in (".js", ".mjs") else mimetypes.guess_type(file.name)[0]
        route.fulfill(body=file.read_bytes(), content_type=kind)
    elif path == PurePosixPath("/"):
        route.fulfill(body=web.page(), content_type="text/html")
    elif path == PurePosixPath("/login"):
        route.fulfill(body=web.login("This is <b>not</b> the token."), content_type="text/html")
    elif path == PurePosixPath("/empty"):
        route.fulfill(body="<!doctype html><title>empty</title>", content_type="text/html")
    else:
        route.fulfill(json={"emails": [], "records": [], "loops": [], "schedules": [], "next": None})


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a host that this test plays itself."""
    opened = chromium.new_page()
    opened.route("**/*", _served)
    yield opened
    opened.close()


@pytest.fixture
def call(page: Page) -> Any:
    """Calls an exported function of a module with JSON."""
    page.goto(f"{HOST}/empty")

    def called(module: str, name: str, *arguments: Any) -> Any:
        return page.evaluate(
            "async ([module, name, args]) => (await import(`/static/${module}.js`))[name](...args)",
            [module, name, list(arguments)],
        )

    return called


def test_numbers_and_durations_are_readable(call: Any) -> None:
    """Counts in groups of three, shares that never round to all or nothing, durations in two units."""
    assert [call("format", "count", each) for each in (0, 999, 12345, 1234567, None)] == [
        "0", "999", f"12{SPACE}345", f"1{SPACE}234{SPACE}567", DASH,
    ]  # fmt: skip
    shares = [(1, 3), (99999, 100000), (1, 100000), (0, 5), (5, 5), (0, 0)]
    assert [call("format", "rate", *each) for each in shares] == ["33.3 %", "99.9 %", "< 0.1 %", "0.0 %", "100 %", DASH]
    assert [call("format", "duration", each) for each in (-3, 0.4, 45, 200, 3600, 187_200)] == [
        "0 s", "0 s", "45 s", "3 min 20 s", "1 h", "2 d 4 h",
    ]  # fmt: skip


def test_instants_keep_their_milliseconds(call: Any) -> None:
    """The year only where it is another one."""
    assert call("format", "instant", "2023-11-14T22:13:20.007Z", NOW) == "14 Nov 22:13:20.007"
    assert call("format", "instant", "2022-01-02T03:04:05.678Z", NOW) == "2 Jan 2022 03:04:05.678"
    assert call("format", "instant", None, NOW) == DASH


@pytest.mark.parametrize(
    ("begin", "end", "fault", "warning"),
    [
        (NOW - 2 * HOUR, NOW - HOUR, {}, None),
        (NOW - HOUR, NOW - 2 * HOUR, {"end": "End must be after begin."}, None),
        (NOW - HOUR, NOW - HOUR, {"end": "End must be after begin."}, None),
        (NOW - HOUR, NOW + HOUR, {"end": "End is in the future."}, None),
        (NOW + HOUR, NOW - HOUR, {"begin": "Begin is in the future.", "end": "End must be after begin."}, None),
        (None, NOW - HOUR, {}, None),
        (NOW - 24 * HOUR - 1_000, NOW, {}, None),
        (NOW - 27 * HOUR, NOW, {}, "3 h of it are beyond Mailgun's retention of 24 h"),
        (NOW - 30 * HOUR, NOW - 26 * HOUR, {}, "All of it is beyond Mailgun's retention of 24 h"),
    ],
)
def test_a_range_is_judged(call: Any, begin: int | None, end: int, fault: dict[str, str], warning: str | None) -> None:
    """What is wrong with it, and how much of it Mailgun may have forgotten."""
    told = call("ranges", "preview", {"begin": begin, "end": end, "now": NOW, "retentionHours": 24})
    assert told["faults"] == fault
    assert (told["warning"] or "").startswith(warning or "")
    assert (told["warning"] is None) == (warning is None)
    assert bool(told["lines"]) == (not fault and begin is not None)


def test_events_of_the_stream_are_merged(page: Page) -> None:
    """First all in pages, then changes and removals; after a new hello all anew; an error keeps what was known."""
    page.goto(f"{HOST}/empty")
    told = page.evaluate(
        """async () => {
          const { after, NOTHING } = await import("/static/model.js");
          const loop = (domain, events_total) => ({ domain, loop: "latest", events_total });
          const none = { loops: [], schedules: [] };
          const loops = (loops, removed = none, schedules = []) => ["loops", { loops, schedules, removed }];
          const hello = ["hello", { now: "2023-11-14T22:13:20.000Z", version: "1", retention_hours: 24, domains: [] }];
          const seen = [];
          let known = NOTHING;
          for (const [type, data] of [
            hello, loops([loop("a", 1)], none, [{ id: "s" }]), loops([loop("b", 1)]), loops([loop("a", 2)]),
            loops([], { loops: [["b", "latest"]], schedules: ["s"] }), ["emails", { emails: [1] }],
            ["emails", { error: "away" }], ["lost"], hello, loops([loop("c", 1)]),
          ]) {
            known = after(known, type, data, 1700000000000 - 5000);
            seen.push([[...known.loops.values()].map(l => l.domain + l.events_total).join(), known.schedules.size,
              known.emails, known.faults.emails ?? null, known.connected, known.offset]);
          }
          return seen;
        }"""
    )
    assert [each[0] for each in told] == ["", "a1", "a1,b1", "a2,b1", "a2", "a2", "a2", "a2", "a2", "c1"]
    assert [each[1] for each in told] == [0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert told[6][2:5] == [[1], "away", True]
    assert told[7][4] is False
    assert told[9][5] == 5000


def test_who_is_not_logged_in_is_led_to_the_login(page: Page) -> None:
    """The API says 401; the form names its field, takes the focus and tells what was wrong, as text."""
    page.route("**/api/**", lambda route: route.fulfill(status=401, json={"error": "give the CONSOLE_TOKEN"}))
    page.goto(f"{HOST}/")
    page.wait_for_url(f"{HOST}/login")
    expect(page.get_by_label("Token")).to_be_focused()
    expect(page.get_by_role("alert")).to_have_text("This is <b>not</b> the token.")


def test_ten_thousand_loops_and_schedules_stay_quick(page: Page) -> None:
    """Drawn within five seconds of their coming, filtered in less than 200 ms."""
    times = dict.fromkeys(
        ("last_started", "last_begin", "last_event_timestamp", "fetched_through"), "2023-11-14T22:13:20.000Z"
    )
    loops = [
        {"domain": f"mg{i}.example.com", "loop": name, "state": "idle", "events_total": i, "last_error": None, **times}
        for i in range(3_334)
        for name in ("latest", "latest_opened", "missing")
    ]
    schedules = [
        {"id": f"s{i}", "domain": "mg1.example.com", "begin": times["last_begin"], "end": "2023-11-15T22:13:20.000Z",
         "state": ["running", "done"][i % 2], "fetched_through": None, "events": i, "event_types": None,
         "progress": 0.5, "remaining_seconds": 10, "canceling": False, "last_error": None, "requested_at": None}
        for i in range(10_000)
    ]  # fmt: skip
    hello = {"now": "2023-11-14T22:13:25.000Z", "version": "1", "retention_hours": 24, "domains": ["mg1.example.com"]}
    everything = {"loops": loops, "schedules": schedules, "removed": {"loops": [], "schedules": []}}
    events = [("hello", hello), ("loops", everything), ("services", {"services": []})]
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    page.route("**/api/stream", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    page.goto(f"{HOST}/")
    section = page.get_by_role("region", name="Loops", exact=True)
    expect(section).to_contain_text(f"10{SPACE}002 loops", timeout=5_000)
    rows = section.locator("tbody tr:not(.group)")
    expect(rows).to_have_count(60)
    took = page.evaluate(
        """async () => {
          const field = document.querySelector("#loops input[type=search]");
          const began = performance.now();
          field.value = "mg3333";
          field.dispatchEvent(new Event("input", { bubbles: true }));
          while (document.querySelectorAll("#loops tbody tr:not(.group)").length !== 3)
            await new Promise(requestAnimationFrame);
          return performance.now() - began;
        }"""
    )
    assert took < 200, f"the filter took {took:.0f} ms"
    section.get_by_label("Filter").fill("")
    section.get_by_role("button", name="Next").click()
    expect(section.get_by_role("navigation")).to_contain_text("Page 2 of 167")
