"""Storage whole, on real servers: everything that can be applied is, once counted, and what cannot is a dead letter."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from services.contracts import topics
from services.contracts.events import EmailEvent, EmailOpened
from services.runtime.bus.api import Outgoing, Record
from services.runtime.codecs import codec_for
from services.storage.adapters.migrations import migrate
from tests.support import definition
from tests.support.apps import Apps, GroupOffsets, Stepped, publish
from tests.support.commands import mailriver
from tests.support.database_proxy import DatabaseProxy
from tests.support.schemas import RAW_EVENT
from tests.support.servers import KafkaServer
from tests.support.storage import (
    NOON,
    delivered,
    empty_database,
    event,
    seed,
    stored_offsets,
    stored_rows,
    stored_totals,
)
from tests.support.topics import create_topics, read_committed

pytestmark = pytest.mark.integration

CODEC = codec_for(None)
PARTITIONS = 6
RECIPIENTS = [f"r{number:03d}" for number in range(60)]


class Place:
    """This test's topics, database and apps."""

    def __init__(self, apps: Apps) -> None:
        self.apps, self.database_url = apps, apps.database_url
        self.topic = topics.prefixed(apps.prefix, topics.EMAIL_EVENTS)
        self.offsets = GroupOffsets(apps.bootstrap, f"{apps.prefix}storage")

    def publish(self, *events: EmailEvent, partition: int | None = None) -> None:
        """Put typed events into their topic."""
        self.publish_values(*(CODEC.encode(topics.EMAIL_EVENTS, each) for each in events), partition=partition)  # type: ignore[arg-type]  # each is one of the typed events

    def publish_values(self, *values: bytes | None, partition: int | None = None) -> None:
        """Put any bytes there."""
        records = [Outgoing(self.topic, b"%d" % number, value) for number, value in enumerate(values)]
        publish(self.apps.bootstrap, records, partition)

    def letters(self) -> list[Record]:
        """The dead letters."""
        return read_committed(self.apps.bootstrap, topics.prefixed(self.apps.prefix, topics.EMAIL_EVENTS_DLQ))

    def committed(self) -> int:
        """How many records are committed: those of the topic hold no transaction marks here."""
        return sum(self.offsets.committed(self.topic, PARTITIONS).values())


@pytest.fixture
def place(kafka: KafkaServer, database_url: str, topic_prefix: str) -> Iterator[Place]:
    create_topics(kafka.bootstrap, topic_prefix)
    seed(database_url, RECIPIENTS)
    with Apps(kafka.bootstrap, database_url, topic_prefix) as apps:
        yield Place(apps)


def done(app: Stepped) -> float:
    """How many records are committed, by its own account."""
    return app.counted("mailriver_consumer_records_total")


def header(record: Record, name: str) -> str:
    """A header that has to be there."""
    value = record.header(name)
    assert value is not None, f"{name} is missing in {record.headers}"
    return value.decode()


def all_events() -> list[EmailEvent]:
    """A delivery and an open of each recipient."""
    return [
        each
        for number, recipient in enumerate(RECIPIENTS)
        for each in (delivered(recipient, NOON + number * 1000), event(EmailOpened, recipient, NOON + number * 2000))
    ]


def test_events_are_applied_and_their_offsets_committed(place: Place) -> None:
    """Rows as the rules say, totals and offsets in the database, the group's offsets, and readiness."""
    events = all_events()
    place.publish(*events)
    app = place.apps.storage(STORAGE_BATCH_EVENTS="50")
    app.until(lambda: done(app) == len(events), seconds=30, what="all events are applied")
    assert stored_rows(place.database_url) == definition.recipient_rows(RECIPIENTS, events)
    assert sum(stored_totals(place.database_url).values()) == len(events)
    assert sum(stored_offsets(place.database_url).values()) == place.committed() == len(events)
    assert app.counted("mailriver_storage_events_total") == len(events)
    assert app.health.ready() == {}
    app.until(lambda: app.counted("mailriver_consumer_lag_messages") == 0, seconds=10, what="the lag is nothing")


def refuse_row(dsn: str, recipient_id: str) -> None:
    """A constraint that no event for this recipient can meet."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "ALTER TABLE mailriver.email_recipients ADD CONSTRAINT refused "
            f"CHECK (id <> '{recipient_id}' OR opened_at IS NULL)".encode()
        )


def test_a_row_that_is_refused_is_a_dead_letter_and_its_neighbours_are_applied(place: Place) -> None:
    """One poison event in the middle of a batch; the letter has its bytes and says that it was the database."""
    refuse_row(place.database_url, "r030")
    events = all_events()
    poison = [each for each in events if each.recipient_id == "r030" and isinstance(each, EmailOpened)]
    place.publish(*events, partition=4)
    app = place.apps.storage()
    app.until(lambda: done(app) == len(events), seconds=30, what="all events have an end")
    (letter,) = place.letters()
    assert letter.value == CODEC.encode(topics.EMAIL_EVENTS, poison[0])
    assert (header(letter, "reason"), header(letter, "stage")) == ("database", "storage")
    assert header(letter, "original-topic") == place.topic
    assert (header(letter, "original-partition"), header(letter, "original-offset")) == (
        "4",
        str(events.index(poison[0])),
    )
    assert "refused" in header(letter, "error")
    applied = [each for each in events if each is not poison[0]]
    assert stored_rows(place.database_url) == definition.recipient_rows(RECIPIENTS, applied)
    assert sum(stored_totals(place.database_url).values()) == len(applied)
    assert place.offsets.committed(place.topic, PARTITIONS) == {(place.topic, 4): len(events)}
    assert app.counted("mailriver_deadletter_records_total", reason="database") == 1


def test_what_is_no_typed_event_is_a_dead_letter(place: Place) -> None:
    """Garbage, nothing, an unknown schema and a record of another topic, among good events."""
    bad: dict[bytes | None, str] = {
        b"\x07garbage": "not_avro",
        b"": "not_avro",
        None: "not_avro",
        b"\x00\x00\x00\x00\x02\xff": "not_avro",
        b"\x00\x00\x00\x7f\x00schema": "unknown_schema",
        CODEC.encode(topics.RAW, RAW_EVENT): "unknown_schema",
    }
    place.publish(delivered("r001"), partition=0)
    place.publish_values(*bad, partition=0)
    place.publish(delivered("r002"), partition=0)
    app = place.apps.storage(DLQ_STOP_RATIO="1")
    app.until(lambda: done(app) == len(bad) + 2, seconds=30, what="all records have an end")
    letters = place.letters()
    assert {each.value: header(each, "reason") for each in letters} == bad
    assert [int(header(each, "original-offset")) for each in letters] == list(range(1, len(bad) + 1))
    assert sum(stored_totals(place.database_url).values()) == 2


def test_a_batch_that_comes_again_is_counted_once(place: Place) -> None:
    """The group's offsets go back to the start, as after a crash between the two commits; then new events follow."""
    events = all_events()
    place.publish(*events)
    first = place.apps.storage()
    first.until(lambda: done(first) == len(events), seconds=30, what="all events are applied")
    before = stored_totals(place.database_url), stored_rows(place.database_url), stored_offsets(place.database_url)
    committed = place.offsets.committed(place.topic, PARTITIONS)
    first.close()
    place.offsets.commit(dict.fromkeys(committed, 0))
    again = place.apps.storage(STORAGE_BATCH_EVENTS="37")
    again.until(lambda: done(again) == len(events), seconds=30, what="all events have come again")
    assert before == (
        stored_totals(place.database_url), stored_rows(place.database_url), stored_offsets(place.database_url)
    )  # fmt: skip
    assert place.offsets.committed(place.topic, PARTITIONS) == committed
    place.publish(delivered("r001", NOON - 1_000_000))
    again.until(lambda: done(again) == len(events) + 1, seconds=30, what="the new event is applied")
    assert sum(stored_totals(place.database_url).values()) == len(events) + 1


def test_while_the_database_is_away_the_group_is_kept_and_then_all_is_applied(
    place: Place, proxy: DatabaseProxy
) -> None:
    """Steps stay short, nothing is rebalanced or restarted, readiness names the database; nothing is lost or twice."""
    events = all_events()
    app = place.apps.storage(proxy.dsn)
    place.publish(*events[:40])
    app.until(lambda: done(app) == 40, seconds=30, what="the first events are applied")
    proxy.down()
    place.publish(*events[40:])
    app.slowest_seconds = 0.0
    app.until(lambda: "database" in app.health.ready(), seconds=30, what="readiness names the database")
    app.for_seconds(4.0)
    assert app.slowest_seconds < 2
    assert app.health.live() == {}
    assert "database" in app.health.ready()
    proxy.up()
    app.until(lambda: done(app) == len(events), seconds=40, what="all events are applied")
    assert app.counted("mailriver_consumer_rebalances_total") == 1
    assert app.health.ready() == {}
    assert stored_rows(place.database_url) == definition.recipient_rows(RECIPIENTS, events)
    assert sum(stored_totals(place.database_url).values()) == len(events)


def test_a_database_that_is_not_migrated_yet_is_waited_for(place: Place) -> None:
    """The service may start before the migration: it says so, joins no group, and goes on when it is done."""
    with empty_database(place.database_url) as dsn:
        app = place.apps.storage(dsn)
        app.for_seconds(1.0)
        assert "mailriver migrate" in app.health.ready()["database"]
        assert app.health.live() == {}
        migrate(dsn, report=lambda _name: None)
        seed(dsn, RECIPIENTS)
        place.publish(delivered("r001"))
        app.until(lambda: done(app) == 1, seconds=30, what="the event is applied")
        app.close()
        assert sum(stored_totals(dsn).values()) == 1


def test_a_storm_of_dead_letters_stops_storage(place: Place) -> None:
    """A fault that kills more than half of the window: nothing is written to the dead letters, nothing committed."""
    place.publish_values(*(b"bad %d" % number for number in range(100)), partition=2)
    app = place.apps.storage(DLQ_STOP_WINDOW="50")
    app.until(lambda: app.counted("mailriver_deadletter_stopped") == 1, seconds=30, what="the consumer stops")
    app.for_seconds(1.5)
    assert place.letters() == []
    assert place.committed() == 0


def test_what_the_last_audit_found_is_shown_as_metrics(place: Place) -> None:
    """A command cannot be scraped: its result is kept, and storage looks it up."""
    with psycopg.connect(place.database_url) as connection:
        connection.execute("UPDATE mailriver.emails SET opened_count = 5 WHERE id = 'e1'")
    storage = place.apps.storage()
    storage.joins()
    assert storage.counted("mailriver_storage_audit_timestamp_seconds") == 0
    storage.close()
    assert mailriver("audit", "--repair", DATABASE_URL=place.database_url).returncode == 0
    other = place.apps.storage()
    other.joins()
    assert other.counts("mailriver_storage_audit_rows", "result") == {
        "audited": len(RECIPIENTS) + 1,
        "drifted": 1,
        "repaired": 1,
    }
    assert other.counted("mailriver_storage_audit_timestamp_seconds") > 1e9
