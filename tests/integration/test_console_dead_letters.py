"""The console's dead letters on a real broker: lists, single ones, replays."""

from __future__ import annotations

import base64
from threading import Barrier, Thread
from typing import Any

import msgspec
import pytest

from services.console.core.dead_letters import SHOWN_BYTES
from services.console.core.replays import ReplayRequest
from services.contracts import topics
from services.contracts.events import DeadLetterReplay, RawMailgunEvent
from services.contracts.reasons import DeadReason
from services.runtime.bus.api import Record
from services.runtime.codecs import codec_for
from services.runtime.errors import Transient
from tests.support.apps import publish
from tests.support.letters import DeadLetterTopics
from tests.support.topics import read_committed

pytestmark = pytest.mark.integration


def listed(dlq: DeadLetterTopics, **query: Any) -> dict[str, Any]:
    """A page of the list."""
    response = dlq.client.get("/api/dlq", params=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def every_page(dlq: DeadLetterTopics, **query: Any) -> list[dict[str, Any]]:
    """The records of all pages."""
    records: list[dict[str, Any]] = []
    page = listed(dlq, **query)
    while page["next"] is not None:
        records += page["records"]
        page = listed(dlq, after=page["next"], **query)
    records += page["records"]
    return records


def replayed(dlq: DeadLetterTopics, body: dict[str, Any], status: int = 202) -> dict[str, Any]:
    """The answer to a replay."""
    response = dlq.client.post("/api/dlq/replay", json=body)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def written(dlq: DeadLetterTopics, topic: str) -> list[Record]:
    """What a topic holds."""
    return read_committed(dlq.bootstrap, topics.prefixed(dlq.prefix, topic))


def test_a_list_of_nothing(dlq: DeadLetterTopics) -> None:
    assert listed(dlq) == {"records": [], "next": None}


def test_a_dead_letter_is_shown_with_where_it_came_from(dlq: DeadLetterTopics) -> None:
    dlq.write([dlq.letter(b"{no json")])
    (record,) = listed(dlq)["records"]
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "topic": "mailgun.events.dlq",
        "partition": 0,
        "offset": 0,
        "reason": "not_json",
        "error": "it is bad",
        "stage": "processor",
        "original_topic": "mailgun.events.raw",
        "original_partition": 2,
        "original_offset": 7,
        "payload": "{no json",
        "payload_truncated": False,
        "decoded": None,
        "size": None,
        "replayed_at": None,
    }


def test_pages_hold_each_letter_once_newest_first_over_the_marks_of_transactions(dlq: DeadLetterTopics) -> None:
    """Transactions of one record, so that every second offset holds none; letters that come meanwhile stay out."""
    with dlq.writer() as producer:
        for number in range(25):
            producer.commit([dlq.letter(b"raw %d" % number)], {}, None)
            producer.commit([dlq.letter(b"typed %d" % number, of=topics.EMAIL_EVENTS)], {}, None)
        first = listed(dlq, limit=7)
        producer.commit([dlq.letter(b"late")], {}, None)
    records = first["records"]
    while first["next"] is not None:
        first = listed(dlq, limit=7, after=first["next"])
        assert len(first["records"]) <= 7
        records += first["records"]
    wanted = [f"{kind} {number}" for number in range(25) for kind in ("raw", "typed")]
    assert sorted(record["payload"] for record in records) == sorted(wanted)
    times = [(record["timestamp"], record["topic"], record["offset"]) for record in records]
    assert times == sorted(times, reverse=True)
    assert listed(dlq, limit=1)["records"][0]["payload"] == "late"


def test_filters(dlq: DeadLetterTopics) -> None:
    dlq.write(
        [dlq.letter(b"a"), dlq.letter(b"b", reason=DeadReason.UNRESOLVED)],
        [dlq.letter(b"c", of=topics.EMAIL_EVENTS, reason=DeadReason.DATABASE)],
        [dlq.letter(b"d") for _ in range(30)],
    )
    assert [record["payload"] for record in every_page(dlq, reason="unresolved", limit=1)] == ["b"]
    assert [record["payload"] for record in every_page(dlq, stage="storage")] == ["c"]
    assert [record["payload"] for record in every_page(dlq, topic="email.events.dlq")] == ["c"]
    assert every_page(dlq, topic="email.events.dlq", reason="not_json") == []
    assert len(every_page(dlq, reason="not_json", limit=10)) == 31


@pytest.mark.parametrize(
    "query",
    [{"reason": "bad"}, {"topic": "mailgun.events.raw"}, {"stage": "console"}, {"limit": "0"}, {"after": "AAAA"}],
)
def test_a_wrong_question_is_refused(dlq: DeadLetterTopics, query: dict[str, str]) -> None:
    response = dlq.client.get("/api/dlq", params=query)
    assert response.status_code == 422
    assert response.json()["error"].startswith(next(iter(query)))


def test_payloads_are_text_or_base64_and_cut_in_lists(dlq: DeadLetterTopics) -> None:
    text, data = "ü" * SHOWN_BYTES, bytes(range(256)) * 64
    dlq.write([dlq.letter(text.encode()), dlq.letter(data), dlq.letter(None)])
    nothing, binary, long = listed(dlq)["records"]
    assert (nothing["payload"], nothing["payload_truncated"]) == (None, False)
    assert (binary["payload"], binary["payload_truncated"]) == (
        "base64:" + base64.b64encode(data[:SHOWN_BYTES]).decode(),
        True,
    )
    assert (long["payload"], long["payload_truncated"]) == ("ü" * (SHOWN_BYTES // 2), True)
    whole = dlq.client.get("/api/dlq/mailgun.events.dlq/0/0").json()
    assert (whole["payload"], whole["payload_truncated"], whole["key"]) == (text, False, "k")
    assert ["reason", "not_json"] in whole["headers"]
    assert dlq.client.get("/api/dlq/mailgun.events.dlq/0/1").json()["payload"] == (
        "base64:" + base64.b64encode(data).decode()
    )


def test_the_json_in_a_readable_record_is_shown(dlq: DeadLetterTopics) -> None:
    raw = RawMailgunEvent("id", "mg.example.com", "latest", None, 1, b'{"event": "<b>opened</b>"}')
    dlq.write([dlq.letter(codec_for(None).encode(topics.RAW, raw), reason=DeadReason.NO_TIMESTAMP)])
    (record,) = listed(dlq)["records"]
    assert record["decoded"] == '{"event": "<b>opened</b>"}'


@pytest.mark.parametrize(
    "place",
    ["mailgun.events.dlq/0/1", "mailgun.events.dlq/0/99999999999999999999", "mailgun.events.dlq/3/0", "other/0/0"],
)
def test_there_is_no_letter_at_that_place(dlq: DeadLetterTopics, place: str) -> None:
    """Offset 1 is the mark of a transaction."""
    dlq.write([dlq.letter(b"a")], [dlq.letter(b"b")])
    response = dlq.client.get(f"/api/dlq/{place}")
    assert response.status_code == 404
    assert "no dead letter" in response.json()["error"]


def test_a_replay_writes_the_record_back_with_its_mark(dlq: DeadLetterTopics) -> None:
    dlq.write([dlq.letter(b"\0raw", key=b"\xff"), dlq.letter(b"typed", of=topics.EMAIL_EVENTS)])
    answer = replayed(dlq, {"topic": "mailgun.events.dlq", "offsets": [{"partition": 0, "offset": 0}] * 2})
    assert (answer["replayed"], answer["skipped"]) == (1, 0)
    (record,) = written(dlq, topics.RAW)
    assert (record.key, record.value) == (b"\xff", b"\0raw")
    assert record.headers == (
        ("original-topic", f"{dlq.prefix}mailgun.events.raw".encode()),
        ("original-partition", b"2"),
        ("original-offset", b"7"),
        ("original-timestamp", b"1767268800123"),
        ("replayed-from", b"mailgun.events.dlq/0/0"),
    )
    assert written(dlq, topics.EMAIL_EVENTS) == []
    (mark,) = written(dlq, topics.DLQ_REPLAYS)
    said = codec_for(None).decode(mark.value)
    assert isinstance(said, DeadLetterReplay)
    assert (mark.key, said.topic, said.partition, said.offset, said.to_topic) == (
        b"mailgun.events.dlq/0/0",
        *("mailgun.events.dlq", 0, 0, "mailgun.events.raw"),
    )
    by_topic = {each["topic"]: each["replayed_at"] for each in listed(dlq)["records"]}
    assert by_topic["mailgun.events.dlq"] is not None
    assert by_topic["email.events.dlq"] is None


def test_what_is_marked_is_left_out_unless_forced(dlq: DeadLetterTopics) -> None:
    dlq.write([dlq.letter(b"%d" % number) for number in range(5)], [dlq.letter(b"x", reason=DeadReason.NO_TYPE)])
    choice = {"topic": "mailgun.events.dlq", "reason": "not_json"}
    assert replayed(dlq, {**choice, "limit": 2, "dry_run": True})["replayed"] == 2
    assert written(dlq, topics.RAW) == []
    assert replayed(dlq, {**choice, "limit": 2})["replayed"] == 2
    assert [record.value for record in written(dlq, topics.RAW)] == [b"0", b"1"]
    rest = replayed(dlq, choice)
    assert (rest["replayed"], rest["skipped"], rest["already_replayed"]) == (3, 2, 2)
    assert replayed(dlq, choice)["replayed"] == 0
    assert replayed(dlq, {**choice, "force": True})["replayed"] == 5
    assert len(written(dlq, topics.RAW)) == 10
    counted = dlq.registry.get_sample_value("mailriver_deadletter_replayed_total", {"result": "replayed"})
    assert counted == 10


def test_what_cannot_be_replayed_is_skipped(dlq: DeadLetterTopics) -> None:
    """Cut ones, and one that says that it is from elsewhere."""
    strange = dlq.letter(b"strange")
    headers = tuple((name, b"orders" if name == "original-topic" else value) for name, value in strange.headers)
    dlq.write([dlq.letter(b"x" * 100_000, most_bytes=70_000), msgspec.structs.replace(strange, headers=headers)])
    answer = replayed(dlq, {"topic": "mailgun.events.dlq", "reason": "not_json", "force": True})
    assert answer == {
        "replayed": 0,
        "skipped": 2,
        "already_replayed": 0,
        "truncated": 1,
        "strange": 1,
        "dry_run": False,
    }
    assert written(dlq, topics.RAW) == []
    assert [record["size"] for record in listed(dlq)["records"]] == [None, 100_000]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"topic": "mailgun.events.dlq"}', "either offsets or a reason"),
        (b'{"topic": "mailgun.events.dlq", "reason": "bad"}', "reason: give one of not_avro"),
        (b'{"topic": "orders", "reason": "not_json"}', "topic: give one of"),
        (b'{"topic": "mailgun.events.dlq", "reason": "not_json", "limit": 0}', "limit"),
        (b'{"topic": "mailgun.events.dlq", "reason": "not_json", "all": 1}', "unknown field `all`"),
        (b'{"topic": "mailgun.events.dlq", "offsets": []}', "length >= 1"),
        (b'{"topic": "mailgun.events.dlq", "offsets": [{"partition": 0, "offset": -1}]}', ">= 0"),
        (b'{"topic": "mailgun.events.dlq", "offsets": [{"partition": 0, "offset": 77}]}', "no record at 0:77"),
        (b'{"topic": "mailgun.events.dlq", "offsets": [{"partition": 5, "offset": 0}]}', "no record at 5:0"),
        (b'{"topic": "\xff"}', "UTF-8"),
        (b"[" * 100_000, ""),
    ],
)
def test_a_wrong_replay_is_refused_and_does_nothing(dlq: DeadLetterTopics, body: bytes, says: str) -> None:
    dlq.write([dlq.letter(b"a")])
    response = dlq.client.post("/api/dlq/replay", content=body)
    assert response.status_code == 422
    assert says.lower() in response.json()["error"].lower()
    assert written(dlq, topics.RAW) == []


def test_two_replays_at_the_same_time_replay_nothing_twice(dlq: DeadLetterTopics) -> None:
    """As two processes have it: whoever begins later stops the other, and takes up where that one was."""
    dlq.write(*([dlq.letter(b"%d-%d" % (batch, number)) for number in range(500)] for batch in range(6)))
    request = ReplayRequest(topic="mailgun.events.dlq", reason="not_json")
    start, stopped = Barrier(2), []

    def replay() -> None:
        replays = dlq.another_replayer()
        start.wait(10)
        try:
            replays.replay(request)
        except Transient as error:
            stopped.append(str(error))

    threads = [Thread(target=replay) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stopped) < 2, stopped
    values = [record.value for record in written(dlq, topics.RAW)]
    assert len(values) == len(set(values)) == 3_000


def test_a_replay_while_another_is_at_work_here_is_told_to_wait(dlq: DeadLetterTopics) -> None:
    dlq.write([dlq.letter(b"a")])
    answers: list[int] = []

    def in_the_middle(_replayed: int, _skipped: int) -> None:
        response = dlq.client.post("/api/dlq/replay", json={"topic": "mailgun.events.dlq", "reason": "not_json"})
        answers.append(response.status_code)

    dlq.replays.replay(ReplayRequest(topic="mailgun.events.dlq", reason="not_json"), in_the_middle)
    assert answers == [409]


def test_the_snapshot_tells_how_many_and_how_new(dlq: DeadLetterTopics) -> None:
    empty = dlq.source.snapshot()
    assert empty.newest == {"mailgun.events.dlq": None, "email.events.dlq": None}
    dlq.write([dlq.letter(b"a"), dlq.letter(b"b")])
    snapshot = dlq.source.snapshot()
    assert snapshot.records["email.events.dlq"] == 0
    assert snapshot.records["mailgun.events.dlq"] >= 2
    assert snapshot.newest["mailgun.events.dlq"] == listed(dlq, limit=1)["records"][0]["timestamp"]


def test_without_a_broker_it_says_so() -> None:
    dlq = DeadLetterTopics("127.0.0.1:1", "")
    try:
        response = dlq.client.get("/api/dlq")
    finally:
        dlq.close()
    assert response.status_code == 503
    assert "Kafka" in response.json()["error"]


def test_a_letter_of_a_stranger_is_shown_as_it_is(dlq: DeadLetterTopics) -> None:
    """Without our headers, or with such as are no text."""
    stranger = dlq.letter(b"x")
    publish(dlq.bootstrap, [msgspec.structs.replace(stranger, headers=(("reason", b"\xff"), ("size", b"many")))])
    (record,) = listed(dlq)["records"]
    assert (record["reason"], record["error"], record["original_offset"], record["size"]) == (
        "\ufffd",
        None,
        None,
        None,
    )
    assert dlq.client.get("/api/dlq/mailgun.events.dlq/0/0").json()["headers"][0] == ["reason", "base64:/w=="]
