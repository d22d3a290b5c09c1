"""The console's API over a real Kafka: loops, schedules, consumers, services."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from services.contracts import topics
from services.contracts.events import CancelFetch, ScheduleFetch
from services.contracts.partitioning import partition_of
from services.runtime.bus.api import Outgoing
from services.runtime.bus.config import KafkaConfig
from services.runtime.codecs import codec_for
from tests.support.apps import Apps, GroupOffsets, publish
from tests.support.console import DOMAIN, RunningConsole, loop_state, schedule_state, write_states
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics, read_committed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

ORDER = {"domain": DOMAIN, "begin": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
PARTITIONS = 6


@pytest.fixture
def console(kafka: KafkaServer, topic_prefix: str) -> Iterator[RunningConsole]:
    create_topics(kafka.bootstrap, topic_prefix)
    with RunningConsole(kafka.bootstrap, topic_prefix) as running:
        yield running.await_ready()


def test_a_loop_is_shown_as_its_state_says(console: RunningConsole) -> None:
    """Every field of the contract; the lag is that of the moment."""
    now = int(time.time() * 1_000_000)
    state = loop_state(
        state="backing_off",
        fetched_through=now - 60_000_000,
        last_started_at=1_787_220_000_123_456,
        last_begin=1_787_220_000_000_000,
        last_event_at=1_787_220_000_999_999,
        events_total=12,
        last_error="Mailgun answers 503",
    )
    write_states(console.bootstrap, console.prefix, [state])
    (loop,) = console.until("/api/loops", lambda content: content["loops"], "the loop is listed")
    lag = loop.pop("lag_seconds")
    assert 60.0 <= lag < 90.0
    del loop["fetched_through"], loop["updated_at"]
    assert loop == {
        "domain": DOMAIN,
        "loop": "latest",
        "state": "backing_off",
        "last_started": "2026-08-20T10:00:00.123Z",
        "last_begin": "2026-08-20T10:00:00.000Z",
        "last_event_timestamp": "2026-08-20T10:00:00.999Z",
        "events_total": 12,
        "last_error": "Mailgun answers 503",
    }
    assert console.get("/api/loops")["loops"][0]["lag_seconds"] > lag


def test_an_order_is_a_command_in_kafka_and_listed_at_once(console: RunningConsole) -> None:
    """In the partition of its domain, though no fetcher runs; and another console shows it too."""
    answer = console.http.post("/api/schedules", json={**ORDER, "event_types": ["failed", "opened"]})
    assert answer.status_code == 202
    schedule_id = answer.json()["id"]
    assert "MAILGUN_RETENTION_HOURS" in answer.json()["warning"]
    (listed,) = console.get("/api/loops")["schedules"]
    expected = {"id": schedule_id, "state": "queued", "begin": "2026-01-01T00:00:00.000Z", "events": 0, "progress": 0.0}
    assert expected.items() <= listed.items()
    (record,) = read_committed(console.bootstrap, f"{console.prefix}{topics.FETCH_COMMANDS}")
    assert record.key == DOMAIN.encode()
    assert record.partition == partition_of(DOMAIN.encode(), PARTITIONS)
    command = codec_for(None).decode(record.value)
    assert isinstance(command, ScheduleFetch)
    assert (command.schedule_id, command.event_types) == (schedule_id, ["failed", "opened"])
    with RunningConsole(console.bootstrap, console.prefix) as other:
        (found,) = other.until("/api/loops", lambda content: content["schedules"], "another console lists it")
    assert found == listed


def test_a_recent_order_has_no_warning(kafka: KafkaServer, topic_prefix: str) -> None:
    """The plan keeps more than what is asked for."""
    create_topics(kafka.bootstrap, topic_prefix)
    with RunningConsole(kafka.bootstrap, topic_prefix, {"MAILGUN_RETENTION_HOURS": "1000000"}) as running:
        answer = running.await_ready().http.post("/api/schedules", json=ORDER)
    assert (answer.status_code, list(answer.json())) == (202, ["id"])


def test_a_schedule_is_cancelled_before_any_fetcher_has_it(console: RunningConsole) -> None:
    """Then it has ended, and cannot be cancelled again."""
    schedule_id = console.http.post("/api/schedules", json=ORDER).json()["id"]
    assert console.http.delete(f"/api/schedules/{schedule_id}").status_code == 202
    (listed,) = console.get("/api/loops")["schedules"]
    assert listed["state"] == "canceled"
    again = console.http.delete(f"/api/schedules/{schedule_id}")
    assert (again.status_code, again.json()) == (409, {"error": "the schedule has ended: it is canceled"})
    records = read_committed(console.bootstrap, f"{console.prefix}{topics.FETCH_COMMANDS}")
    commands = [codec_for(None).decode(record.value) for record in records]
    assert [type(command) for command in commands] == [ScheduleFetch, CancelFetch]
    assert len({record.partition for record in records}) == 1


def test_a_running_schedule_is_told_to_stop(console: RunningConsole) -> None:
    """It runs until its fetcher has heard; a done one is left alone."""
    write_states(
        console.bootstrap,
        console.prefix,
        [
            schedule_state("s1", fetched_through=6_000_000, events_total=5),
            schedule_state("s2", state="done"),
            schedule_state("s3", state="failed", last_error="no"),
        ],
    )
    rows = console.until("/api/loops", lambda content: content["schedules"][2:] and content["schedules"], "all three")
    assert [(row["id"], row["state"], row["progress"]) for row in rows] == [
        ("s1", "running", 0.5),
        ("s2", "done", 1.0),
        ("s3", "failed", 0.0),
    ]
    statuses = [console.http.delete(f"/api/schedules/{name}").status_code for name in ("s1", "s2", "s3", "s4")]
    assert statuses == [202, 409, 409, 404]
    row = console.get("/api/loops")["schedules"][0]
    assert (row["state"], row["canceling"], row["events"]) == ("running", True, 5)


def test_a_deleted_state_is_gone(console: RunningConsole) -> None:
    """Its key has a record without a value."""
    write_states(console.bootstrap, console.prefix, [schedule_state("s1", state="done"), loop_state()])
    console.until("/api/loops", lambda content: content["schedules"] and content["loops"], "both are listed")
    topic = f"{console.prefix}{topics.FETCH_STATE}"
    publish(console.bootstrap, [Outgoing(topic, f"{DOMAIN}/{name}".encode(), None) for name in ("s1", "latest")])
    console.until("/api/loops", lambda content: not content["schedules"] and not content["loops"], "both are gone")


def test_what_cannot_be_read_hides_nothing_else(console: RunningConsole) -> None:
    """A record of a newer Mailriver, or of nobody."""
    topic = f"{console.prefix}{topics.FETCH_STATE}"
    publish(console.bootstrap, [Outgoing(topic, f"{DOMAIN}/missing".encode(), b"junk")])
    write_states(console.bootstrap, console.prefix, [loop_state()])
    loops = console.until("/api/loops", lambda content: content["loops"], "the loop is listed")
    assert [loop["loop"] for loop in loops] == ["latest"]


def test_lists_are_paged(console: RunningConsole) -> None:
    """By the cursor of the page before; nothing twice, nothing left out."""
    write_states(
        console.bootstrap, console.prefix, [loop_state(domain=f"d{number}.example.com") for number in range(5)]
    )
    console.until("/api/loops", lambda content: len(content["loops"]) == 5, "all are listed")
    seen: list[str] = []
    path = "/api/loops?limit=2"
    while path:
        content = console.get(path)
        seen += [loop["domain"] for loop in content["loops"]]
        path = f"/api/loops?limit=2&after={content['next']}" if content["next"] else ""
    assert seen == [f"d{number}.example.com" for number in range(5)]
    everything = console.get("/api/consumers")["consumers"]
    first = console.get("/api/consumers?limit=7")
    second = console.get(f"/api/consumers?limit=1000&after={first['next']}")
    assert [row["partition"] for row in first["consumers"] + second["consumers"]] == [
        row["partition"] for row in everything
    ]
    assert second["next"] is None


def lag_of(content: dict[str, list[dict[str, object]]], group: str) -> int:
    """The lag of a group in messages, all partitions together."""
    return sum(int(str(row["lag_messages"])) for row in content["consumers"] if str(row["group"]).endswith(group))


def test_lag_is_known_without_any_consumer(console: RunningConsole) -> None:
    """Of groups that never committed as well: by all that is in the topics, and the age of the oldest record."""
    content = console.get("/api/consumers")
    assert {row["topic"].removeprefix(console.prefix) for row in content["consumers"]} == {
        topics.RAW,
        *topics.RAW_RETRIES,
        topics.EMAIL_EVENTS,
    }
    assert len(content["consumers"]) == 5 * PARTITIONS
    assert all((row["lag_messages"], row["lag_seconds"]) == (0, 0.0) for row in content["consumers"])
    topic = f"{console.prefix}{topics.EMAIL_EVENTS}"
    publish(console.bootstrap, [Outgoing(topic, b"k", b"v") for _ in range(3)], partition=2)
    console.until("/api/consumers", lambda it: lag_of(it, "storage") == 3, "the lag is told")
    (row,) = [row for row in console.get("/api/consumers")["consumers"] if row["lag_messages"]]
    assert (row["topic"], row["partition"]) == (topic, 2)
    assert 0.0 < row["lag_seconds"] < 60.0
    wait_until(
        lambda: [row for row in console.get("/api/consumers")["consumers"] if row["lag_seconds"] > 3.0],
        seconds=30,
        what="its age grows",
    )
    GroupOffsets(console.bootstrap, f"{console.prefix}storage").commit({(topic, 2): 3})
    console.until("/api/consumers", lambda it: lag_of(it, "storage") == 0, "it is told that all is done")


def test_marks_of_transactions_are_no_lag(console: RunningConsole) -> None:
    """They follow the last record for ever, and nobody ever commits beyond them."""
    topic = f"{console.prefix}{topics.EMAIL_EVENTS}"
    producer = Producer(KafkaConfig(console.bootstrap).producer(f"{console.prefix}marks"))
    producer.init_transactions(20)
    offsets = GroupOffsets(console.bootstrap, f"{console.prefix}storage")

    def publish_one() -> None:
        producer.begin_transaction()
        producer.produce(topic, b"v", b"k")
        producer.commit_transaction(20)

    publish_one()
    publish_one()
    records = read_committed(console.bootstrap, topic)
    console.until("/api/consumers", lambda it: lag_of(it, "storage") > 0, "the lag is told")
    offsets.commit({records[0].place: records[0].offset + 1})
    console.until("/api/consumers", lambda it: 0 < lag_of(it, "storage") < 4, "one is done")
    (row,) = [row for row in console.get("/api/consumers")["consumers"] if row["lag_messages"]]
    assert row["lag_seconds"] > 0.0
    offsets.commit({records[1].place: records[1].offset + 1})
    console.until("/api/consumers", lambda it: lag_of(it, "storage") == 0, "all is done")
    publish_one()
    console.until("/api/consumers", lambda it: lag_of(it, "storage") > 0, "there is lag again")


def test_a_service_is_up_as_long_as_its_group_has_a_member(console: RunningConsole, database_url: str) -> None:
    """A dead one shows as dead."""

    def states(content: dict[str, list[dict[str, str]]]) -> dict[str, str]:
        return {row["service"]: row["state"] for row in content["services"]}

    down = {"fetcher": "down", "processor": "down", "storage": "down"}
    assert states(console.get("/api/services")) == down
    with Apps(console.bootstrap, database_url, console.prefix) as apps:
        storage = apps.storage()
        storage.joins()
        console.until("/api/services", lambda it: states(it) == {**down, "storage": "up"}, "storage is up")
    console.until("/api/services", lambda it: states(it) == down, "storage is down again")


def test_ten_thousand_loops_and_schedules_are_shown_quickly(console: RunningConsole) -> None:
    """The first page, the largest page and the last one: below 200 ms each."""
    count = 10_000
    write_states(
        console.bootstrap, console.prefix, [loop_state(domain=f"d{number:05}.example.com") for number in range(count)]
    )
    write_states(console.bootstrap, console.prefix, [schedule_state(f"s{number:05}") for number in range(count)])
    wait_until(lambda: console.app.parts.fetch_topics.version >= 2 * count, seconds=60, what="all are read")
    after = console.get("/api/loops?limit=1000")["next"]
    for path in ("/api/loops", "/api/loops?limit=1000", f"/api/loops?limit=1000&after={after}"):
        seconds = []
        for _ in range(5):
            began = time.monotonic()
            content = console.get(path)
            seconds.append(time.monotonic() - began)
            assert len(content["loops"]) == len(content["schedules"]) >= 100
        assert min(seconds) < 0.2, (path, seconds)


def test_when_kafka_is_away_what_was_known_is_shown(kafka: KafkaServer, topic_prefix: str) -> None:
    """Without any broker there is an empty list, its age, and a clear word for what needs Kafka."""
    with RunningConsole("127.0.0.1:1", topic_prefix) as running:
        assert running.get("/api/loops") == {"loops": [], "schedules": [], "next": None, "as_of": None}
        for answer in (running.http.get("/api/consumers"), running.http.post("/api/schedules", json=ORDER)):
            assert answer.status_code == 503
            assert answer.json()["error"].startswith("Kafka: ")
        wait_until(lambda: "kafka" in running.health.ready(), seconds=20, what="readiness says so")
        assert running.health.live() == {}
        assert running.counted("mailriver_console_commands_total", result="failed") == 1
