"""Reading a topic at any place, on a real broker: gaps, aborted and open transactions, retention, a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition

from services.runtime.bus.api import Bounds, Outgoing
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.lookback import LookBack
from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal, Transient
from services.sandbox.kafka import EmbeddedKafka
from tests.support.letters import DeadLetterTopics, ignore
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

TOPIC = "mailgun.events.dlq"


def looking(bootstrap: str) -> LookBack:
    """A reader."""
    return LookBack(KafkaConfig(bootstrap), "looks-back", clock=SystemClock(), on_error=ignore)


@pytest.fixture
def dlq(kafka: KafkaServer, topic_prefix: str) -> Iterator[DeadLetterTopics]:
    create_topics(kafka.bootstrap, topic_prefix)
    dlq = DeadLetterTopics(kafka.bootstrap, topic_prefix)
    yield dlq
    dlq.close()


@pytest.fixture
def look(kafka: KafkaServer) -> Iterator[LookBack]:
    look = looking(kafka.bootstrap)
    yield look
    look.close()


def offsets(look: LookBack, topic: str, first: int, end: int) -> list[int]:
    """The offsets that hold committed records."""
    return [record.offset for record in look.read((topic, 0), first, end)]


def test_what_holds_no_record_is_passed_over(dlq: DeadLetterTopics, look: LookBack) -> None:
    """Marks of transactions and aborted records; an open transaction is beyond the end."""
    topic = f"{dlq.prefix}{TOPIC}"
    dlq.write([dlq.letter(b"0"), dlq.letter(b"1")], [dlq.letter(b"3")])
    aborting = Producer(KafkaConfig(dlq.bootstrap).producer(f"{dlq.prefix}aborting"))
    aborting.init_transactions(20)
    aborting.begin_transaction()
    aborting.produce(topic, b"5")
    assert aborting.flush(20) == 0
    aborting.abort_transaction(20)
    dlq.write([dlq.letter(b"7")])
    aborting.begin_transaction()
    aborting.produce(topic, b"9")
    assert aborting.flush(20) == 0
    assert look.bounds([topic]) == {(topic, 0): Bounds(0, 9)}
    assert offsets(look, topic, 0, 9) == [0, 1, 3, 7]
    assert offsets(look, topic, 1, 7) == [1, 3]
    assert offsets(look, topic, 4, 7) == []
    assert offsets(look, topic, 2, 2) == []
    aborting.abort_transaction(20)


def test_what_retention_has_removed_is_passed_over(dlq: DeadLetterTopics, look: LookBack) -> None:
    topic = f"{dlq.prefix}{TOPIC}"
    dlq.write([dlq.letter(b"%d" % number) for number in range(10)])
    admin = create_topics(dlq.bootstrap, dlq.prefix)
    for future in admin.delete_records([TopicPartition(topic, 0, 6)]).values():
        future.result()
    assert look.bounds([topic]) == {(topic, 0): Bounds(6, 11)}
    assert offsets(look, topic, 0, 8) == [6, 7]
    assert [record["payload"] for record in dlq.client.get("/api/dlq").json()["records"]] == ["9", "8", "7", "6"]
    assert dlq.client.get("/api/dlq/mailgun.events.dlq/0/5").status_code == 404


def test_a_reader_that_jumps_about_gets_what_it_asked_for_last(dlq: DeadLetterTopics, look: LookBack) -> None:
    topic = f"{dlq.prefix}{TOPIC}"
    dlq.write([dlq.letter(b"%d" % number) for number in range(3_000)])
    given_up = look.read((topic, 0), 0, 3_000)
    assert next(given_up).offset == 0
    assert offsets(look, topic, 2_000, 2_003) == [2_000, 2_001, 2_002]
    assert offsets(look, topic, 5, 6) == [5]


def test_a_topic_that_is_not_there(look: LookBack, topic_prefix: str) -> None:
    with pytest.raises(Transient, match="mailriver topics create"):
        look.bounds([f"{topic_prefix}none"])


def test_a_property_that_is_none() -> None:
    with pytest.raises(Fatal, match="KAFKA_PROPERTIES_FILE"):
        LookBack(KafkaConfig("127.0.0.1:1", {"no.such": "1"}), "x", clock=SystemClock(), on_error=ignore)


def test_it_goes_on_after_a_restart_of_the_broker(kafka_libs: Path, servers_folder: Path) -> None:
    with EmbeddedKafka(servers_folder / "kafka-looked-at", libs=kafka_libs) as server:
        create_topics(server.bootstrap, "")
        producer_side = DeadLetterTopics(server.bootstrap, "")
        producer_side.write([Outgoing(TOPIC, None, b"x")])

        def payloads() -> list[str]:
            return [record["payload"] for record in producer_side.client.get("/api/dlq").json().get("records", [])]

        try:
            wait_until(payloads, seconds=30, what="the record is listed")
            server.stop()
            assert producer_side.client.get("/api/dlq").status_code == 503
            server.start()
            assert wait_until(payloads, seconds=30, what="the record is listed again") == ["x"]
        finally:
            producer_side.close()
