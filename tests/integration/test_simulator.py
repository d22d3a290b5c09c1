"""The Mailgun simulator over real HTTP; needs nothing but the loopback interface."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from services.sandbox.mailgun import MailgunSimulator, Scenario, SimulatedEvent, event_of, serve
from services.sandbox.mailgun.scenario import CutAnswer, CutJson, ForeignNext, Oversized, ServerError, Slow
from services.sandbox.newsletter import plan

T = 1_787_220_000.0
DOMAIN = "mg.example.com"
EVENTS = f"/v3/{DOMAIN}/events"
ALL = {"begin": str(T), "end": str(T + 1000), "ascending": "yes", "limit": "300"}


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(Scenario(), clock=lambda: T + 2000) as running:
        yield running


@pytest.fixture
def client(simulator: MailgunSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=simulator.base_url, auth=("api", "key-simulator"), timeout=10, trust_env=False
    ) as asking:
        yield asking


def events(count: int, *, event_type: str = "delivered") -> list[SimulatedEvent]:
    return [
        event_of(
            {"event": event_type, "id": f"{event_type}-{number:05d}", "timestamp": T + number / 10, "text": "x" * 1000}
        )
        for number in range(count)
    ]


def follow(client: httpx.Client, **parameters: str) -> list[list[dict[str, Any]]]:
    pages = [client.get(EVENTS, params=ALL | parameters).raise_for_status().json()]
    while pages[-1]["items"]:
        pages.append(client.get(pages[-1]["paging"]["next"]).raise_for_status().json())
    return [page["items"] for page in pages]


def test_a_client_reads_everything_page_by_page(simulator: MailgunSimulator, client: httpx.Client) -> None:
    simulator.add(DOMAIN, events(700))
    simulator.add(DOMAIN, events(5, event_type="opened"))
    pages = follow(client, event="delivered")
    assert [len(page) for page in pages] == [300, 300, 100, 0]
    assert [item["id"] for page in pages for item in page] == [each.id for each in events(700)]
    assert len(simulator.served()) == 700
    assert len(simulator.shown()) == 705
    assert simulator.stats().requests == {200: 4}


def test_the_wrong_key_is_refused(simulator: MailgunSimulator, client: httpx.Client) -> None:
    simulator.add(DOMAIN, events(1))
    response = client.get(EVENTS, auth=("api", "wrong"))
    assert (response.status_code, response.text) == (401, "Forbidden")
    assert client.post(EVENTS).status_code == 405


def test_an_answer_breaks_off_in_its_middle_and_the_next_is_whole(
    simulator: MailgunSimulator, client: httpx.Client
) -> None:
    simulator.add(DOMAIN, events(100))
    simulator.scenario = Scenario(faults=(CutAnswer(to_request=1),))
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(EVENTS, params=ALL)
    assert simulator.served() == set()
    assert len(client.get(EVENTS, params=ALL).json()["items"]) == 100


def test_spoilt_answers_arrive_as_they_should(simulator: MailgunSimulator, client: httpx.Client) -> None:
    simulator.add(DOMAIN, events(10))
    simulator.scenario = Scenario(faults=(CutJson(),))
    with pytest.raises(json.JSONDecodeError):
        client.get(EVENTS, params=ALL).json()
    simulator.scenario = Scenario(faults=(Oversized(size_bytes=3_000_000),))
    assert len(client.get(EVENTS, params=ALL).content) == 3_000_000
    simulator.scenario = Scenario(faults=(ForeignNext(),))
    assert client.get(EVENTS, params=ALL).json()["paging"]["next"].startswith("http://mailgun.example.net/v3/")
    simulator.scenario = Scenario(faults=(ServerError(status=504),))
    response = client.get(EVENTS, params=ALL)
    assert (response.status_code, response.headers["content-type"]) == (504, "text/html")


def test_a_slow_answer_runs_into_the_clients_timeout(simulator: MailgunSimulator, client: httpx.Client) -> None:
    simulator.add(DOMAIN, events(1))
    simulator.scenario = Scenario(faults=(Slow(seconds=60),))
    with pytest.raises(httpx.ReadTimeout):
        client.get(EVENTS, params=ALL, timeout=0.1)


def test_stopping_ends_what_is_under_way_and_the_port_serves_again(client: httpx.Client) -> None:
    simulator = MailgunSimulator(Scenario(latency_seconds=60), clock=lambda: T)
    simulator.start()
    failures: list[Exception] = []

    def ask() -> None:
        try:
            httpx.get(f"{simulator.base_url}{EVENTS}", timeout=30, trust_env=False)
        except httpx.HTTPError as error:
            failures.append(error)

    asking = Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 10
    while not simulator.stats().requests and time.monotonic() < deadline:
        asking.join(0.01)
    simulator.stop()
    simulator.stop()
    asking.join(10)
    assert [type(each) for each in failures] == [httpx.RemoteProtocolError]
    simulator.scenario = Scenario()
    with simulator:
        assert httpx.get(f"{simulator.base_url}{EVENTS}", trust_env=False).status_code == 401


def test_control_works_from_another_process(simulator: MailgunSimulator, client: httpx.Client) -> None:
    line = {"domain": DOMAIN, "payload": {"event": "opened", "id": "x", "timestamp": T}}
    assert client.post("/_simulator/events", json=line).json() == {"added": 1}
    simulator.add(DOMAIN, events(2000))
    lines = client.get("/_simulator/truth").text.splitlines()
    assert len(lines) == 2001
    assert client.put("/_simulator/scenario", content="faults: [{kind: refused, status: 402}]").status_code == 200
    assert client.get(EVENTS).status_code == 402
    assert client.get("/_simulator/stats").json()["requests"] == {"402": 1}


def test_serve_blocks_until_it_is_told_to_stop() -> None:
    stop, ready, urls = Event(), Event(), []

    def told(simulator: MailgunSimulator) -> None:
        urls.append(simulator.base_url)
        ready.set()

    thread = Thread(target=lambda: serve(Scenario(), clock=lambda: T, stop=stop, ready=told))
    thread.start()
    try:
        assert ready.wait(10)
        assert httpx.get(f"{urls[0]}/_simulator/stats", trust_env=False).status_code == 200
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_hundred_full_pages_come_quickly_also_where_events_are_rare(
    simulator: MailgunSimulator, client: httpx.Client
) -> None:
    """Generous: a hundred pages take about half a second of an idle core; ten are allowed."""
    course = plan(20_000, seed=1, start=T, duration_seconds=900, late_seconds=0, domain=DOMAIN)
    simulator.add(DOMAIN, course.events)
    began = time.perf_counter()
    pages = follow(client)
    rare = follow(client, event="complained OR unsubscribed")
    assert time.perf_counter() - began < 10
    assert len(pages) > 100
    assert sum(map(len, pages)) == len(course.events)
    assert {item["event"] for page in rare for item in page} == {"complained", "unsubscribed"}
