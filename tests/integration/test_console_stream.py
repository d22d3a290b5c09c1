"""The stream of the console: first everything, then what changes, for many readers at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import httpx
import pytest

from services.console.api import stream
from services.runtime.errors import Transient
from tests.support.console import DOMAIN, RunningConsole, loop_state, schedule_state, write_states
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

ORDER = {"domain": DOMAIN, "begin": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
Event = tuple[str, Any]


@pytest.fixture
def console(kafka: KafkaServer, topic_prefix: str) -> Iterator[RunningConsole]:
    create_topics(kafka.bootstrap, topic_prefix)
    with RunningConsole(kafka.bootstrap, topic_prefix) as running:
        yield running.await_ready()


class Reader:
    """A reader of the stream, as a browser is one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def events(self) -> Iterator[Event]:
        """One after the other, as they come."""
        name = ""
        for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    def until(self, condition: Callable[[str, Any], bool], seconds: float = 30.0) -> list[Event]:
        """The events up to the first one of which the condition holds."""
        deadline = time.monotonic() + seconds
        seen: list[Event] = []
        for name, data in self.events():
            seen.append((name, data))
            if condition(name, data):
                return seen
            assert time.monotonic() < deadline, [each for each, _ in seen]
        raise AssertionError(f"the stream has ended after {[each for each, _ in seen]}")


@contextmanager
def reading(console: RunningConsole) -> Iterator[Reader]:
    with (
        httpx.Client(base_url=console.url, trust_env=False, timeout=30) as client,
        client.stream("GET", "/api/stream") as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-security-policy" in response.headers
        yield Reader(response)


def test_a_reader_gets_everything_first_and_then_what_changes(console: RunningConsole) -> None:
    """Each change once, and nothing that did not change."""
    write_states(console.bootstrap, console.prefix, [loop_state(), loop_state("missing"), schedule_state("s1")])
    console.until("/api/loops", lambda it: len(it["loops"]) == 2 and it["schedules"], "all are read")
    with reading(console) as reader:
        seen = reader.until(lambda name, _: name == "loops")
        assert [name for name, _ in seen] == ["hello", "loops"]
        hello = seen[0][1]
        assert (hello["retention_hours"], hello["domains"]) == (24, [DOMAIN, "news.example.com"])
        assert hello["now"].endswith("Z")
        assert [row["loop"] for row in seen[1][1]["loops"]] == ["latest", "missing"]
        assert [row["id"] for row in seen[1][1]["schedules"]] == ["s1"]
        write_states(console.bootstrap, console.prefix, [loop_state(state="failed", last_error="no")])
        changed = reader.until(lambda name, _: name == "loops")[-1][1]
        assert [(row["loop"], row["state"]) for row in changed["loops"]] == [("latest", "failed")]
        assert changed["schedules"] == []
        schedule_id = console.http.post("/api/schedules", json=ORDER).json()["id"]
        changed = reader.until(lambda name, _: name == "loops")[-1][1]
        assert [(row["id"], row["state"]) for row in changed["schedules"]] == [(schedule_id, "queued")]
        after = reader.until(lambda name, _: name == "ping")
        assert "loops" not in [name for name, _ in after], "the order that is read back is no change"


def test_consumers_and_services_are_told_and_a_ping_shows_life(console: RunningConsole) -> None:
    """Without any change at all a reader hears something every five seconds."""
    with reading(console) as reader:
        seen: dict[str, Any] = {}
        for name, data in reader.events():
            seen[name] = data
            if seen.keys() >= {"hello", "loops", "consumers", "services", "ping"}:
                break
        assert len(seen["consumers"]["consumers"]) == 30
        assert [row["state"] for row in seen["services"]["services"]] == ["down"] * 3
        assert seen["ping"]["known_at"] is not None


def test_streams_are_counted_and_forgotten(console: RunningConsole) -> None:
    """Whoever goes is not served any more."""
    name = "mailriver_console_streams"
    with reading(console) as first, reading(console) as second:
        first.until(lambda event, _: event == "hello")
        second.until(lambda event, _: event == "hello")
        assert console.counted(name) == 2
    wait_until(lambda: console.counted(name) == 0, seconds=20, what="both are forgotten")


def test_too_many_streams_are_refused(console: RunningConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 in the shape of every refusal; one that ends makes room."""
    monkeypatch.setattr(stream, "MOST_STREAMS", 3)
    with ExitStack() as open_streams:
        # Kept: a reader that nobody holds closes its stream.
        readers = [open_streams.enter_context(reading(console)) for _ in range(3)]
        for reader in readers:
            reader.until(lambda event, _: event == "hello")
        answer = console.http.get("/api/stream")
        assert answer.status_code == 503
        assert "streams open already" in answer.json()["error"]
    wait_until(lambda: console.counted("mailriver_console_streams") == 0, seconds=20, what="there is room again")
    with reading(console) as reader:
        reader.until(lambda event, _: event == "hello")


def test_the_end_of_the_console_ends_its_streams(kafka: KafkaServer, topic_prefix: str) -> None:
    """At once, and orderly for the readers."""
    create_topics(kafka.bootstrap, topic_prefix)
    with RunningConsole(kafka.bootstrap, topic_prefix) as running:
        running.await_ready()
        with reading(running) as reader:
            reader.until(lambda event, _: event == "hello")
            began = time.monotonic()
            running.app.close()
            running.server.close()
            assert "hello" not in dict(reader.events())
            assert time.monotonic() - began < 5


class Counting:
    """A source that counts how often it is asked."""

    name = "emails"
    every_seconds = 0.2

    def __init__(self) -> None:
        self.asked, self._lock = 0, Lock()
        self.failure: Exception | None = None

    def snapshot(self) -> Any:
        with self._lock:
            self.asked += 1
            if self.failure is not None:
                raise self.failure
            return {"asked": self.asked}


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, kafka: KafkaServer, topic_prefix: str) -> Counting:
    counting = Counting()
    monkeypatch.setattr("services.console.app.ServicesSource", lambda _consumers: counting)
    create_topics(kafka.bootstrap, topic_prefix)
    return counting


def test_a_source_is_asked_once_for_all_readers_and_only_if_there_are_any(
    source: Counting, kafka: KafkaServer, topic_prefix: str
) -> None:
    """However many look, the database has one question."""
    with RunningConsole(kafka.bootstrap, topic_prefix) as running:
        running.await_ready()
        assert source.asked == 0
        with ExitStack() as open_streams:
            readers = [open_streams.enter_context(reading(running)) for _ in range(5)]
            for reader in readers:
                reader.until(lambda name, data: name == "emails" and data["asked"] >= 5)
            assert source.asked < 5 * 5 + 10
        wait_until(lambda: running.counted("mailriver_console_streams") == 0, seconds=20, what="all are gone")
        asked = source.asked
        running.get("/api/services")
        assert source.asked <= asked + 1


@pytest.mark.parametrize(
    ("failure", "says"),
    [(Transient("the database is away"), "the database is away"), (KeyError("secret"), "a fault of the console's")],
)
def test_a_source_that_fails_says_so_and_the_rest_goes_on(
    source: Counting, kafka: KafkaServer, topic_prefix: str, failure: Exception, says: str
) -> None:
    """And it is asked again."""
    source.failure = failure
    with RunningConsole(kafka.bootstrap, topic_prefix) as running, reading(running.await_ready()) as reader:
        (_, data) = reader.until(lambda name, _: name == "emails")[-1]
        assert says in data["error"]
        source.failure = None
        reader.until(lambda name, data: name == "emails" and "asked" in data)
        reader.until(lambda name, _: name == "ping")


def test_a_reader_that_does_not_keep_up_is_dropped(console: RunningConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not keep up is ended; it comes back by itself and begins anew."""
    queue = stream._Reader()
    event = stream._event("loops", {})
    given = 0
    while queue.give(event):
        given += 1
        assert given <= 1_000
    queue.end()
    assert queue.queue.get_nowait() is None
    assert queue.queue.empty()


def test_ten_thousand_loops_are_streamed_in_pages(console: RunningConsole) -> None:
    """The first rows are there soon; all of them within seconds."""
    count = 5_000
    write_states(
        console.bootstrap, console.prefix, [loop_state(domain=f"d{number:05}.example.com") for number in range(count)]
    )
    wait_until(lambda: console.app.parts.fetch_topics.version >= count, seconds=60, what="all are read")
    began, seen = time.monotonic(), set[str]()
    with reading(console) as reader:
        for name, data in reader.events():
            if name == "loops":
                assert len(data["loops"]) <= 1_000
                seen |= {row["domain"] for row in data["loops"]}
                assert time.monotonic() - began < 10
            if len(seen) == count:
                break
