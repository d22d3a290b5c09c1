"""A dead letter whose cause is mended reaches Postgres by a replay: real processor and storage, real servers."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from services.contracts import topics
from services.contracts.events import EmailOpened, RawMailgunEvent
from services.contracts.reasons import DeadReason
from services.runtime.bus.api import Outgoing
from services.runtime.codecs import codec_for
from tests.support.apps import Apps, publish
from tests.support.directory import add_email, add_recipient
from tests.support.letters import DeadLetterTopics
from tests.support.mailgun_items import item, payload
from tests.support.servers import KafkaServer
from tests.support.storage import event, stored_rows
from tests.support.topics import create_topics, read_committed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

CODEC = codec_for(None)
QUICK = {"PROCESSOR_RETRY_SECONDS": "0.05"}


@pytest.fixture
def apps(kafka: KafkaServer, database_url: str, topic_prefix: str) -> Iterator[Apps]:
    create_topics(kafka.bootstrap, topic_prefix)
    with Apps(kafka.bootstrap, database_url, topic_prefix) as apps:
        yield apps


@pytest.fixture
def dlq(apps: Apps) -> Iterator[DeadLetterTopics]:
    dlq = DeadLetterTopics(apps.bootstrap, apps.prefix)
    yield dlq
    dlq.close()


def add_late(apps: Apps) -> None:
    """What the application forgot."""
    with psycopg.connect(apps.database_url) as connection:
        add_email(connection, "e1")
        add_recipient(connection, "r1", "e1", "r1@example.com")


def test_an_unresolved_event_arrives_once_its_recipient_is_there(apps: Apps, dlq: DeadLetterTopics) -> None:
    """Tried and dead as any other; replayed before the cause is mended it dies again, its origin unchanged."""
    processor = apps.processor(**QUICK)
    raw = RawMailgunEvent(
        "event", "mg.example.com", "latest", None, 1_787_220_064_000_000, payload(item(recipient="r1@example.com"))
    )
    publish(apps.bootstrap, [Outgoing(topics.prefixed(apps.prefix, topics.RAW), b"k", CODEC.encode(topics.RAW, raw))])

    def dead() -> list[dict[str, object]]:
        response = dlq.client.get("/api/dlq", params={"reason": "unresolved"})
        return list(response.json().get("records", []))

    processor.until(dead, seconds=60, what="it is dead")
    choice = {"topic": topics.RAW_DLQ, "reason": "unresolved"}
    assert dlq.client.post("/api/dlq/replay", json=choice).json()["replayed"] == 1
    processor.until(lambda: len(dead()) == 2, seconds=60, what="it is dead again")
    again, first = dead()
    assert (first["replayed_at"] is None, again["replayed_at"]) == (False, None)
    origin = ("original_topic", "original_partition", "original_offset")
    assert [again[name] for name in origin] == [first[name] for name in origin]
    assert "r1@example.com" in str(again["decoded"])

    add_late(apps)
    answer = dlq.client.post("/api/dlq/replay", json=choice).json()
    assert (answer["replayed"], answer["skipped"]) == (1, 1)
    events = topics.prefixed(apps.prefix, topics.EMAIL_EVENTS)
    processor.until(lambda: read_committed(apps.bootstrap, events), seconds=60, what="the typed event is there")
    storage = apps.storage()
    storage.until(lambda: stored_rows(apps.database_url)["r1"].delivered_at, seconds=60, what="it is delivered")
    assert len(dead()) == 2


def test_a_typed_event_that_died_in_storage_arrives(apps: Apps, dlq: DeadLetterTopics) -> None:
    add_late(apps)
    opened = CODEC.encode(topics.EMAIL_EVENTS, event(EmailOpened))
    dlq.write([dlq.letter(opened, key=b"r1", of=topics.EMAIL_EVENTS, reason=DeadReason.DATABASE)])
    place = {"topic": topics.EMAIL_EVENTS_DLQ, "offsets": [{"partition": 0, "offset": 0}]}
    replayed = wait_until(
        lambda: dlq.client.post("/api/dlq/replay", json=place).json().get("replayed"), seconds=30, what="it is replayed"
    )
    assert replayed == 1
    storage = apps.storage()
    storage.until(lambda: stored_rows(apps.database_url)["r1"].opened_at, seconds=60, what="it is opened")
