"""The processor whole, on real servers: whatever is in its topics, each record has one end, and the river flows on."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.contracts import topics
from services.contracts.codec import NotAvro
from services.contracts.events import EmailEvent, RawMailgunEvent
from services.contracts.outcome import Reject
from services.contracts.reasons import DeadReason
from services.contracts.registry import UnknownSchema
from services.processor.core.normalise import normalise
from services.runtime.bus.api import Outgoing, Record
from services.runtime.codecs import codec_for
from services.runtime.deadletter import KEPT_BYTES, VERSION
from tests.support.apps import Apps, GroupOffsets, Stepped, publish
from tests.support.database_proxy import DatabaseProxy
from tests.support.directory import add_email, add_recipient
from tests.support.mailgun_items import item, payload, sample, sample_names
from tests.support.schemas import DELIVERED
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics, read_committed

pytestmark = pytest.mark.integration

CODEC = codec_for(None)
PARTITIONS = 6
RETRY = topics.RAW_RETRIES[0]
RECIPIENTS = 50


class Place:
    """This test's topics, database and apps."""

    def __init__(self, apps: Apps) -> None:
        self.apps, self.bootstrap = apps, apps.bootstrap
        self.offsets = GroupOffsets(apps.bootstrap, f"{apps.prefix}processor")

    def topic(self, name: str) -> str:
        """A topic's name with this test's prefix."""
        return topics.prefixed(self.apps.prefix, name)

    def records(self, name: str) -> list[Record]:
        """The committed records of a topic."""
        return read_committed(self.bootstrap, self.topic(name))

    def publish(self, *raws: RawMailgunEvent, partition: int | None = None) -> None:
        """Put raw events into the raw topic."""
        publish(self.bootstrap, [self.raw(CODEC.encode(topics.RAW, each)) for each in raws], partition)

    def raw(self, value: bytes | None, *, key: bytes | None = b"k") -> Outgoing:
        """A record for the raw topic."""
        return Outgoing(self.topic(topics.RAW), key, value)

    def emitted(self) -> list[EmailEvent]:
        """The typed events, as their readers see them."""
        events = [CODEC.decode(record.value) for record in self.records(topics.EMAIL_EVENTS)]
        assert all(isinstance(each, EmailEvent) for each in events)
        return [each for each in events if isinstance(each, EmailEvent)]

    def emitted_ids(self) -> Counter[str]:
        """How often each event was emitted."""
        return Counter(each.event_id for each in self.emitted())

    def add(self, *recipient_ids: str) -> None:
        """What the sending application commits late."""
        with psycopg.connect(self.apps.database_url) as connection:
            for recipient_id in recipient_ids:
                add_recipient(connection, recipient_id, "e1", f"{recipient_id}@example.com")


@pytest.fixture
def place(kafka: KafkaServer, database_url: str, topic_prefix: str) -> Iterator[Place]:
    create_topics(kafka.bootstrap, topic_prefix)
    with Apps(kafka.bootstrap, database_url, topic_prefix) as apps:
        place = Place(apps)
        with psycopg.connect(database_url) as connection:
            add_email(connection, "e1")
        place.add(*(f"r{number}" for number in range(RECIPIENTS)))
        yield place


def raw(event_id: str, recipient_id: str = "r0", **fields: Any) -> RawMailgunEvent:
    """A raw event of a recipient."""
    return raw_of(payload(item(id=event_id, recipient=f"{recipient_id}@example.com", **fields)), event_id)


def raw_of(content: bytes, event_id: str = "event") -> RawMailgunEvent:
    """A raw event with this payload."""
    return RawMailgunEvent(event_id, "mg.example.com", "latest", None, 1787220064_000000, content)


def header(record: Record, name: str) -> str:
    """A header that has to be there."""
    value = record.header(name)
    assert value is not None, f"{name} is missing in {record.headers}"
    return value.decode()


def origin(record: Record) -> tuple[str, int, int]:
    """Where a record was first, by its headers."""
    partition, offset = (int(header(record, f"original-{name}")) for name in ("partition", "offset"))
    return header(record, "original-topic"), partition, offset


def finals(app: Stepped) -> float:
    """How many records have come to an end or into a retry topic."""
    return app.counted("mailriver_consumer_outcomes_total") + app.counted("mailriver_consumer_retries_total")


def has_ended(app: Stepped, records: int) -> bool:
    """Whether so many records have come to their end."""
    return app.counted("mailriver_consumer_outcomes_total") == records


# Each reason of the processor, by a payload that breaks one rule.
DEAD_PAYLOADS: dict[DeadReason, bytes] = {
    DeadReason.NOT_JSON: b'{"event":"delivered",',
    DeadReason.NOT_OBJECT: b"[1,2]",
    DeadReason.NO_TYPE: payload(item(event="")),
    DeadReason.NO_TIMESTAMP: payload(item(timestamp="yesterday")),
    DeadReason.NO_IDENTITY: payload(item(message=None, user_variables=None)),
    DeadReason.NO_RECIPIENT: payload(item(recipient="  ")),
    DeadReason.UNRESOLVED: payload(item(recipient="j\u00fcrgen@b\u00fccher.example")),
}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**40, "", " ", "\x00", "\ud800", "x" * 5_000, [], {}, [[]], {"": None},
    "<a@example.com>", "r1@example.com", "failed", 1787220004.6, "2026-08-20T10:00:00Z", "\u202e", "DELIVERED",
    "unheard-of",
)  # fmt: skip


def random_bytes(random: Random) -> bytes | None:
    """Bytes that are most probably nothing, sometimes behind a schema id that exists, or none at all."""
    start = random.choice([b"", b"", b"\x00", b"\x00\x00\x00\x00" + random.randbytes(1)])
    return None if random.random() < 0.02 else start + random.randbytes(random.randrange(120))


def with_flips(encoded: bytes, random: Random) -> bytes:
    """A record with one to eight bytes changed."""
    changed = bytearray(encoded)
    for _ in range(random.randint(1, 8)):
        changed[random.randrange(len(changed))] ^= random.randrange(1, 256)
    return bytes(changed)


def mutated(value: Any, random: Random) -> Any:
    """An item with a value somewhere in it changed, left out or put in."""
    if not isinstance(value, dict) or not value or random.random() < 0.1:
        return random.choice(ODD)
    name = random.choice(sorted(value))
    changed = dict(value)
    if random.random() < 0.2:
        del changed[name]
    else:
        changed[name] = mutated(value[name], random) if random.random() < 0.7 else random.choice(ODD)
    return changed


def mutated_payload(random: Random, names: Sequence[str]) -> bytes:
    """The JSON of a mutated sample, sometimes cut short."""
    whole: Any = sample(random.choice(names)) | {"user-variables": {"email-id": "e1"}}
    if random.random() < 0.5:
        whole["recipient"] = f"r{random.randrange(RECIPIENTS)}@example.com"
    for _ in range(random.randint(1, 3)):
        whole = mutated(whole, random)
    content = json.dumps(whole, ensure_ascii=random.random() < 0.8).encode("utf-8", "surrogatepass")
    return content[: random.randrange(len(content))] if random.random() < 0.1 else content


def hostile(seed: str) -> list[bytes | None]:
    """300 records of random bytes and 2000 mutated events."""
    random, names = Random(seed), sample_names()
    encoded = [CODEC.encode(topics.RAW, raw(f"flip-{n}", f"r{n % RECIPIENTS}")) for n in range(1_000)]
    values = [
        *(random_bytes(random) for _ in range(300)),
        *(with_flips(each, random) for each in encoded),
        *(CODEC.encode(topics.RAW, raw_of(mutated_payload(random, names), f"json-{n}")) for n in range(1_000)),
    ]
    random.shuffle(values)
    return values


def reason_of(value: bytes | None) -> DeadReason | None:
    """The reason for which these bytes are dead on their own, whoever the recipients are."""
    try:
        message = CODEC.decode(value)
    except NotAvro:
        return DeadReason.NOT_AVRO
    except UnknownSchema:
        return DeadReason.UNKNOWN_SCHEMA
    if not isinstance(message, RawMailgunEvent):
        return DeadReason.UNKNOWN_SCHEMA
    normalised = normalise(message.payload)
    return normalised.reason if isinstance(normalised, Reject) else None


def assert_right_letter(letter: Record, of: Record) -> None:
    """A dead letter has the key and the bytes of its record, and all headers, which say what is so."""
    assert (letter.key, letter.value) == (of.key, of.value)
    assert [name for name, _ in letter.headers] == [
        "reason", "error", "stage", "original-topic", "original-partition", "original-offset", "original-timestamp",
        "version",
    ]  # fmt: skip
    assert int(header(letter, "original-timestamp")) == of.timestamp_ms
    assert (header(letter, "stage"), header(letter, "version")) == ("processor", VERSION)
    error = header(letter, "error")
    assert error
    assert "\n" not in error
    assert DeadReason(header(letter, "reason")) == (reason_of(of.value) or DeadReason.UNRESOLVED)


def test_whatever_is_in_the_raw_topic_each_record_has_one_end_and_good_ones_arrive(place: Place) -> None:
    """2300 hostile records: emitted, skipped, dead or put off, each once, with nothing changed; then six good ones."""
    seed = "hostile"
    values = hostile(seed)
    publish(place.bootstrap, [place.raw(value, key=b"%d" % n) for n, value in enumerate(values)])
    app = place.apps.processor(DLQ_STOP_RATIO="1", PROCESSOR_RETRY_SECONDS="3600,3600,3600")
    app.until(lambda: finals(app) >= len(values), seconds=60, what=f"all records have an end (seed {seed})")
    for partition in range(PARTITIONS):
        place.publish(raw(f"good-{partition}", f"r{partition}"), partition=partition)
    app.until(lambda: finals(app) >= len(values) + PARTITIONS, seconds=20, what=f"the good events arrive (seed {seed})")
    read = {(each.topic, each.partition, each.offset): each for each in place.records(topics.RAW)}
    all_letters, all_put_off = place.records(topics.RAW_DLQ), place.records(RETRY)
    letters, put_off = ({origin(each): each for each in records} for records in (all_letters, all_put_off))
    emitted = place.emitted()
    skipped = app.counted("mailriver_consumer_outcomes_total", outcome="skip")
    assert len(read) == len(values) + PARTITIONS
    assert (len(letters), len(put_off)) == (len(all_letters), len(all_put_off)), "none is there twice"
    assert not letters.keys() & put_off.keys()
    assert len(emitted) + skipped + len(letters) + len(put_off) == len(read), f"seed {seed}"
    assert {f"good-{partition}" for partition in range(PARTITIONS)} <= {each.event_id for each in emitted}
    for where, letter in letters.items():
        assert_right_letter(letter, read[where])
    for where, record in read.items():
        assert (reason_of(record.value) is None) or where in letters, f"{where} should be dead (seed {seed})"
    for where, record in put_off.items():
        assert (record.key, record.value) == (read[where].key, read[where].value)
    counted = app.counts("mailriver_consumer_outcomes_total", "reason")
    assert {reason: counted[reason] for reason in counted if reason} == Counter(
        header(letter, "reason") for letter in letters.values()
    )
    assert app.counts("mailriver_deadletter_records_total", "reason") == {
        reason: number for reason, number in counted.items() if reason
    }
    assert app.counted("mailriver_consumer_outcomes_total", outcome="emit") == len(emitted)
    assert skipped > 0
    assert len(emitted) > 100
    assert len(put_off) > 50
    assert app.health.ready() == {}


def test_every_reason_is_told_by_its_name(place: Place) -> None:
    """One record for each rule that can be broken, in the middle of good ones."""
    with psycopg.connect(place.apps.database_url) as connection:
        for number, address in enumerate(("j\u00fcrgen@b\u00fccher.example", "j\u00fcrgen@xn--bcher-kva.example")):
            add_recipient(connection, f"twin-{number}", "e1", address)
    of_another_topic = CODEC.encode(topics.EMAIL_EVENTS, DELIVERED)
    bad = {
        DeadReason.NOT_AVRO: b"\x07not avro",
        DeadReason.UNKNOWN_SCHEMA: b"\x00\x7f\xff\xff\xffunknown",
        **{reason: CODEC.encode(topics.RAW, raw_of(content)) for reason, content in DEAD_PAYLOADS.items()},
    }
    good = [place.raw(CODEC.encode(topics.RAW, raw(f"good-{number}"))) for number in range(3)]
    dead = [place.raw(value, key=reason.encode()) for reason, value in bad.items()]
    dead += [place.raw(of_another_topic, key=b"unknown_schema"), place.raw(None, key=b"not_avro")]
    records = [*good[:1], *dead, *good[1:]]
    publish(place.bootstrap, records)
    app = place.apps.processor(DLQ_STOP_RATIO="1")
    app.until(lambda: finals(app) >= len(records), seconds=30, what="all records have an end")
    letters = place.records(topics.RAW_DLQ)
    assert sorted(header(each, "reason") for each in letters) == sorted([*bad, "unknown_schema", "not_avro"])
    assert all(each.key == header(each, "reason").encode() for each in letters)
    assert place.emitted_ids() == {"good-0": 1, "good-1": 1, "good-2": 1}


def test_records_at_the_bounds_of_their_topics_do_not_stop_the_others(place: Place) -> None:
    """One that compresses well is kept as its beginning; one that fills its topic to the brim is put off like any."""
    large = b"\x07" + b"x" * (topics.RAW_MAX_BYTES + 1_000)
    dead_brim = b"\x07" + Random(5).randbytes(topics.RAW_MAX_BYTES - 500)
    publish(place.bootstrap, [place.raw(large)], 0)
    publish(place.bootstrap, [place.raw(dead_brim)], 0)
    place.publish(raw("good"), partition=0)
    app = place.apps.processor(DLQ_STOP_RATIO="1")
    app.until(lambda: finals(app) >= 3, seconds=60, what="all records have an end")
    truncated, whole = place.records(topics.RAW_DLQ)
    assert truncated.value == large[:KEPT_BYTES]
    assert header(truncated, "size") == str(len(large))
    assert len(header(truncated, "sha256")) == 64
    assert whole.value == dead_brim
    assert place.emitted_ids() == {"good": 1}


def test_an_unresolved_record_that_fills_its_topic_is_put_off_like_any_other(place: Place) -> None:
    """The headers of a retry make it larger than it was in the raw topic."""
    whole = payload(item(recipient="nobody@example.com") | {"noise": ""})
    content = whole[:-2] + text_noise(topics.RAW_MAX_BYTES - len(whole) - 170) + whole[-2:]
    place.publish(raw_of(content), partition=0)
    place.publish(raw("good"), partition=0)
    app = place.apps.processor(DLQ_STOP_RATIO="1", PROCESSOR_RETRY_SECONDS="3600")
    app.until(lambda: finals(app) >= 2, seconds=60, what="both records have an end")
    assert place.emitted_ids() == {"good": 1}
    (put_off,) = place.records(RETRY)
    assert origin(put_off) == (place.topic(topics.RAW), 0, 0)
    assert put_off.value == place.records(topics.RAW)[0].value


def text_noise(length: int) -> bytes:
    """Text that needs no escapes in JSON and hardly compresses."""
    random = Random(9)
    encoded = "".join(map(chr, random.choices(range(0x4E00, 0x9FA5), k=length // 3))).encode()
    return encoded + b"y" * (length - len(encoded))


def test_an_event_whose_recipient_is_committed_late_arrives(place: Place) -> None:
    """The sender commits a second and a half after the event was first seen; nobody is told, it just arrives."""
    place.publish(raw("early", "late"))
    app = place.apps.processor(PROCESSOR_RETRY_SECONDS="1,1,1")
    app.until(lambda: app.counted("mailriver_consumer_retries_total") == 1, seconds=30, what="it is put off")
    app.for_seconds(1.5)
    place.add("late")
    app.until(lambda: app.counted("mailriver_consumer_outcomes_total"), seconds=20, what="it has an end")
    assert place.emitted_ids() == {"early": 1}
    assert place.records(topics.RAW_DLQ) == []


def test_an_event_whose_recipient_never_comes_is_dead_after_three_more_attempts(place: Place) -> None:
    """The letter names the raw topic, not the retry topic it was last in; each attempt came no sooner than told."""
    place.publish(raw("lost", "nobody"), raw("good"), partition=3)
    app = place.apps.processor(PROCESSOR_RETRY_SECONDS="0.5,1,1.5")
    app.until(lambda: app.counted("mailriver_consumer_outcomes_total") == 2, seconds=30, what="both have an end")
    (letter,) = place.records(topics.RAW_DLQ)
    lost = place.records(topics.RAW)[0]
    assert_right_letter(letter, lost)
    assert header(letter, "reason") == "unresolved"
    assert origin(letter) == (place.topic(topics.RAW), 3, lost.offset)
    tries = [record for name in topics.RAW_RETRIES for record in place.records(name)]
    assert [header(each, "attempt") for each in tries] == ["1", "2", "3"]
    assert all(origin(each) == origin(letter) and each.value == lost.value for each in tries)
    ends = [*(each.timestamp_ms for each in tries[1:]), letter.timestamp_ms]
    assert all(end >= int(header(each, "due")) for each, end in zip(tries, ends, strict=True))
    assert app.counted("mailriver_consumer_retries_total") == 3


def test_what_waits_for_its_time_delays_nothing_else(place: Place) -> None:
    """With a retry topic full of what is due in an hour, raw events pass in a moment, and the waiting ones stay."""
    place.publish(*(raw(f"waits-{number}", "nobody") for number in range(300)))
    app = place.apps.processor(PROCESSOR_RETRY_SECONDS="3600")
    app.until(lambda: app.counted("mailriver_consumer_retries_total") == 300, seconds=30, what="all are put off")
    app.for_seconds(1.0)
    for number in range(1, 6):
        began = time.monotonic()
        place.publish(raw(f"good-{number}"))
        app.until(partial(has_ended, app, number), seconds=20, what="a raw event passes")
        assert time.monotonic() - began < 3
    assert place.offsets.committed(place.topic(RETRY), PARTITIONS) == {}
    assert sum(place.emitted_ids().values()) == 5


def later(place: Place, event_id: str, due_ms: int) -> Outgoing:
    """A record of the first retry topic."""
    value = CODEC.encode(topics.RAW, raw(event_id))
    headers = (
        ("attempt", b"1"), ("due", b"%d" % due_ms), ("original-topic", place.topic(topics.RAW).encode()),
        ("original-partition", b"0"), ("original-offset", b"0"), ("original-timestamp", b"1"),
    )  # fmt: skip
    return Outgoing(place.topic(RETRY), b"k", value, headers)


def test_many_that_are_due_at_different_times_each_come_in_time_and_once(place: Place) -> None:
    """Partitions are put aside and taken up again and again; each goes on exactly where it stopped."""
    now_ms = int(time.time() * 1000)
    due: dict[str, int] = {}
    for partition in range(PARTITIONS):
        batch = []
        for number in range(120):
            event_id = f"{partition}-{number}"
            due[event_id] = now_ms + (number // 20) * 500 + partition * 130
            batch.append(later(place, event_id, due[event_id]))
        publish(place.bootstrap, batch, partition)
    app = place.apps.processor(PROCESSOR_RETRY_SECONDS="60,60,60")
    app.until(lambda: app.counted("mailriver_consumer_outcomes_total") >= len(due), seconds=30, what="all have come")
    assert place.emitted_ids() == dict.fromkeys(due, 1)
    for record in place.records(topics.EMAIL_EVENTS):
        event = CODEC.decode(record.value)
        assert isinstance(event, EmailEvent)
        assert record.timestamp_ms >= due[event.event_id], event.event_id
    app.until(
        lambda: sum(place.offsets.committed(place.topic(RETRY), PARTITIONS).values()) == len(due),
        seconds=10,
        what="the offsets are those after the last record",
    )


def test_a_due_time_that_cannot_be_does_not_block_those_behind_it(place: Place) -> None:
    """In a thousand years, or no number at all: it is tried after the longest delay at the latest."""
    odd = later(place, "far", 10**18)
    garbled = Outgoing(odd.topic, b"k", CODEC.encode(topics.RAW, raw("garbled")), (("due", b"\xff"), ("attempt", b"x")))
    publish(place.bootstrap, [odd, garbled, later(place, "behind", 0)], 2)
    app = place.apps.processor(PROCESSOR_RETRY_SECONDS="0.5,1")
    app.until(lambda: app.counted("mailriver_consumer_outcomes_total") == 3, seconds=20, what="all have come")
    assert place.emitted_ids() == {"far": 1, "garbled": 1, "behind": 1}


def test_a_storm_of_dead_letters_stops_the_consumer_before_it_drains_the_topic(place: Place) -> None:
    """200 bad ones with a window of 100: nothing is written, nothing committed, and a start with ratio 1 goes on."""
    publish(place.bootstrap, [place.raw(b"bad %d" % number) for number in range(200)], 1)
    app = place.apps.processor(DLQ_STOP_WINDOW="100")
    app.until(lambda: app.counted("mailriver_deadletter_stopped") == 1, seconds=30, what="the consumer stops")
    app.for_seconds(2.0)
    assert app.counted("mailriver_worker_state", state="paused") == 1
    assert app.health.live() == {}
    assert place.records(topics.RAW_DLQ) == []
    assert place.offsets.committed(place.topic(topics.RAW), PARTITIONS) == {}
    app.close()
    app = place.apps.processor(DLQ_STOP_RATIO="1", DLQ_STOP_WINDOW="100")
    app.until(lambda: finals(app) == 200, seconds=30, what="all are dead letters")
    assert app.counted("mailriver_deadletter_stopped") == 0
    assert [each.value for each in place.records(topics.RAW_DLQ)] == [b"bad %d" % number for number in range(200)]
    assert place.offsets.committed(place.topic(topics.RAW), PARTITIONS) == {(place.topic(topics.RAW), 1): 200}


def test_while_the_database_is_away_the_group_is_kept_and_then_all_goes_through(
    place: Place, proxy: DatabaseProxy
) -> None:
    """Steps stay short, nothing is rebalanced or restarted, readiness names the database; nothing is lost or twice."""
    app = place.apps.processor(proxy.dsn)
    place.publish(*(raw(f"before-{number}", f"r{number}") for number in range(40)))
    app.until(lambda: finals(app) == 40, seconds=30, what="the first events pass")
    assert app.health.ready() == {}
    proxy.down()
    place.publish(*(raw(f"during-{number}", f"r{40 + number % 10}") for number in range(100)))
    app.slowest_seconds = 0.0
    app.until(lambda: "database" in app.health.ready(), seconds=30, what="readiness names the database")
    app.for_seconds(4.0)
    place.publish(*(raw(f"later-{number}", f"r{40 + number % 10}") for number in range(50)))
    assert app.slowest_seconds < 2
    assert app.health.live() == {}
    assert "database" in app.health.ready()
    assert app.counted("mailriver_consumer_lag_messages") >= 100
    proxy.up()
    app.until(lambda: finals(app) == 190, seconds=40, what="all events pass")
    assert app.counted("mailriver_consumer_rebalances_total") == 1
    assert app.health.ready() == {}
    assert set(place.emitted_ids().values()) == {1}
    assert len(place.emitted_ids()) == 190


def test_what_is_not_due_is_not_tried_early_because_of_a_failure(place: Place, proxy: DatabaseProxy) -> None:
    """A retry topic that is assigned while the consumer waits out a failure is still not due."""
    publish(place.bootstrap, [later(place, "in a minute", int((time.time() + 60) * 1000))], 0)
    proxy.down()
    app = place.apps.processor(proxy.dsn, PROCESSOR_RETRY_SECONDS="60")
    place.publish(raw("good"))
    app.until(lambda: "database" in app.health.ready(), seconds=30, what="the database is missed")
    other = place.apps.processor(proxy.dsn, PROCESSOR_RETRY_SECONDS="60")
    with other.in_background():
        app.until(
            lambda: app.counted("mailriver_consumer_rebalances_total") == 2, seconds=30, what="a second one joins"
        )
        app.for_seconds(2.0)
    other.close()
    app.until(lambda: app.counted("mailriver_consumer_rebalances_total") == 3, seconds=30, what="and leaves")
    app.for_seconds(2.0)
    proxy.up()
    app.until(lambda: finals(app) == 1, seconds=60, what="the good one passes")
    app.for_seconds(2.0)
    assert place.emitted_ids() == {"good": 1}


def test_a_database_that_is_not_migrated_yet_is_waited_for(place: Place, database_url: str) -> None:
    """As storage does: the services may be started before the migration; readiness says what to do."""
    place.publish(raw("event"))
    app = place.apps.processor(make_conninfo(database_url, dbname="postgres"))
    app.until(lambda: "mailriver migrate" in app.health.ready().get("database", ""), seconds=30, what="it says so")
    assert app.health.live() == {}
    assert place.emitted_ids() == {}
