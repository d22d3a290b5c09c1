"""The simulated service without its network: keys, regions, links, truth, control."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from services.sandbox.mailgun import control
from services.sandbox.mailgun.answers import Answer
from services.sandbox.mailgun.events import SimulatedEvent, event_of
from services.sandbox.mailgun.scenario import CutAnswer, NoNext, Scenario, ServerError
from services.sandbox.mailgun.service import EventsService, Request

T = 1_787_220_000.0
DOMAIN = "mg.example.com"


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def basic(key: str, user: str = "api") -> str:
    return "Basic " + b64encode(f"{user}:{key}".encode()).decode()


def event(name: str, at: float = T, visible_at: float | None = None) -> SimulatedEvent:
    return event_of({"event": "delivered", "id": name, "timestamp": at}, visible_at=visible_at)


def service(scenario: Scenario | None = None, now: float = T + 60) -> EventsService:
    made = EventsService(scenario or Scenario(), clock=Hand(now))
    made.add(DOMAIN, [event("a"), event("b", T + 1), event("c", T + 2, visible_at=T + 1000)])
    return made


def get(asked: EventsService, target: str, *, host: str = "sim:1", authorization: str | None = None) -> Answer:
    return asked.respond(Request(target, host, authorization or basic("key-simulator")))


def page_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found


FIRST = f"/v3/{DOMAIN}/events?begin={T}&ascending=yes&limit=1"


@pytest.mark.parametrize(
    "authorization", ["", "Basic ???", "Bearer key-simulator", basic("wrong"), basic("key-simulator", "root")]
)
def test_a_wrong_key_gets_401_as_text(authorization: str) -> None:
    answer = get(service(), FIRST, authorization=authorization or "none")
    assert (answer.status, answer.body) == (401, b"Forbidden")
    assert ("Www-Authenticate", 'Basic realm="MG API"') in answer.headers


def test_a_key_that_may_only_send_gets_403() -> None:
    assert get(service(Scenario(sending_keys=("s",))), FIRST, authorization=basic("s")).status == 403


def test_domains_are_unknown_or_of_the_other_region_or_known_by_name() -> None:
    scenario = Scenario(domains=("quiet.example.com",), other_region={"eu.example.com": 404, "eu2.example.com": 401})
    asked = service(scenario)
    unknown = get(asked, "/v3/no.example.com/events")
    assert (unknown.status, unknown.body) == (404, b'{"message":"Domain not found: no.example.com"}')
    assert get(asked, "/v3/eu.example.com/events").status == 404
    assert get(asked, "/v3/eu2.example.com/events").body == b"Forbidden"
    assert page_of(get(asked, "/v3/quiet.example.com/events"))["items"] == []


@pytest.mark.parametrize("target", ["/", "/v3", f"/v3/{DOMAIN}", f"/v2/{DOMAIN}/events", f"/v3/{DOMAIN}/events/a/b"])
def test_other_paths_are_not_found(target: str) -> None:
    assert get(service(), target).status == 404


def test_links_have_the_host_that_was_asked_or_the_public_one() -> None:
    links = page_of(get(service(), FIRST, host="localhost:8025"))["paging"]
    assert set(links) == {"next", "previous", "first", "last"}
    assert all(url.startswith(f"http://localhost:8025/v3/{DOMAIN}/events/") for url in links.values())
    public = service(Scenario(public_base_url="https://api.example.com/"))
    assert page_of(get(public, FIRST))["paging"]["next"].startswith("https://api.example.com/v3/")


def test_parameters_on_a_page_url_are_ignored() -> None:
    asked = service()
    link = page_of(get(asked, FIRST))["paging"]["next"].removeprefix("http://sim:1")
    assert [item["id"] for item in page_of(get(asked, f"{link}?limit=bad&event=opened"))["items"]] == ["b"]


def test_a_bad_request_is_told() -> None:
    answer = get(service(), f"/v3/{DOMAIN}/events?begin={T}")
    assert answer.status == 400
    assert b"Inconsistent range" in answer.body
    assert get(service(), f"/v3/{DOMAIN}/events/nonsense").status == 400


def test_the_truth_knows_what_was_visible_and_what_was_served() -> None:
    asked = service()
    get(asked, FIRST)
    truth = {record.id: (record.visible, record.served) for record in asked.truth()}
    assert truth == {"a": (True, 1), "b": (True, 0), "c": (False, 0)}


def test_an_answer_that_was_cut_has_served_nothing() -> None:
    asked = service(Scenario(faults=(CutAnswer(to_request=1),)))
    assert get(asked, FIRST).send_bytes is not None
    assert asked.stats().events_served == 0
    get(asked, FIRST)
    stats = asked.stats()
    assert (stats.events_served, stats.pages, stats.events_stored) == (1, 1, 3)
    assert (stats.requests, stats.faults) == ({200: 2}, {"cut_answer": 1})


def test_another_scenario_begins_its_windows_anew() -> None:
    asked = service()
    get(asked, FIRST)
    asked.scenario = Scenario(faults=(ServerError(to_request=1),))
    assert [get(asked, FIRST).status for _ in range(2)] == [503, 200]


def test_waiting_is_told_and_not_done() -> None:
    assert get(service(Scenario(latency_seconds=0.2)), FIRST).delay_seconds == 0.2


def test_control_adds_events_and_shows_the_truth() -> None:
    asked = service()
    lines = (
        b'{"domain":"d.example.com","payload":{"event":"opened","id":"x","timestamp":5.5}}\n\n'
        b'{"domain":"d.example.com","payload":[7],"timestamp":6,"event_type":"odd","id":"y"}\n'
    )
    refused = control.respond(asked, "POST", "/_simulator/events", lines)
    assert isinstance(refused, Answer)
    assert refused.status == 422
    assert b"line 3" in refused.body
    added = control.respond(asked, "POST", "/_simulator/events", lines.replace(b"[7]", b"{}"))
    assert isinstance(added, Answer)
    assert added.body == b'{"added":2}'
    stream = control.respond(asked, "GET", "/_simulator/truth?visible=yes", b"")
    assert isinstance(stream, control.Stream)
    records = [msgspec.json.decode(line) for line in b"".join(stream.chunks).splitlines()]
    assert [(each["domain"], each["id"]) for each in records if each["domain"] != DOMAIN] == [
        ("d.example.com", "x"),
        ("d.example.com", "y"),
    ]
    assert "c" not in {each["id"] for each in records}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "scenario", b"faults: [{kind: no_next}]", 200),
        ("PUT", "scenario", b"fault: []", 422),
        ("GET", "stats", b"", 200),
        ("POST", "events", b"not json", 422),
        ("DELETE", "events", b"", 405),
        ("GET", "nothing", b"", 404),
    ],
)
def test_control_answers(method: str, path: str, body: bytes, status: int) -> None:
    answer = control.respond(service(), method, f"/_simulator/{path}", body)
    assert isinstance(answer, Answer)
    assert answer.status == status


def test_control_changes_the_scenario() -> None:
    asked = service()
    control.respond(asked, "PUT", "/_simulator/scenario", b"faults: [{kind: no_next}]")
    assert asked.scenario.faults == (NoNext(),)
