"""`mailriver rebuild`: into empty tables completely, onto live ones harmlessly, and on after an interruption."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from subprocess import CompletedProcess, Popen

import psycopg
import pytest

from services.contracts import topics
from services.contracts.events import TYPED_EVENTS, EmailEvent
from services.runtime.bus.api import Outgoing, Record
from services.runtime.codecs import codec_for
from tests.support import definition
from tests.support.apps import Apps, GroupOffsets, publish
from tests.support.commands import mailriver, started
from tests.support.servers import KafkaServer
from tests.support.storage import NOON, empty_database, stored_offsets, stored_totals
from tests.support.tables import shell_commands
from tests.support.topics import create_topics, read_committed
from tests.support.waiting import wait_until
from tests.support.world import GONE, WORLD, fill, stored_state, told_of

pytestmark = pytest.mark.integration

CODEC = codec_for(None)
PARTITIONS = 6
RECIPIENTS = [*WORLD.recipients, *GONE]


def happenings(count: int, seed: int = 1) -> list[EmailEvent]:
    """Events of all types for all recipients, in no order, some of them twice."""
    random = Random(seed)
    return [
        told_of(
            random.choice(TYPED_EVENTS),
            random.choice(RECIPIENTS),
            NOON + random.randrange(5_000) * 1000,
            nth=random.randrange(3),
            loop=random.choice(["latest", "missing"]),
        )
        for _ in range(count)
    ]


class Place:
    """This test's topics and database, and what has been published there."""

    def __init__(self, apps: Apps, folder: Path) -> None:
        self.apps, self.database_url = apps, apps.database_url
        self.topic = topics.prefixed(apps.prefix, topics.EMAIL_EVENTS)
        self.events: list[EmailEvent] = []
        properties = folder / "kafka.properties"
        properties.write_text("session.timeout.ms=3000\nheartbeat.interval.ms=500\n")
        self.settings = {
            "KAFKA_BOOTSTRAP_SERVERS": apps.bootstrap,
            "KAFKA_PROPERTIES_FILE": str(properties),
            "DATABASE_URL": apps.database_url,
            "TOPIC_PREFIX": apps.prefix,
        }

    def publish(self, *events: EmailEvent) -> None:
        """Put typed events into their topic, each recipient's into one partition."""
        values = [CODEC.encode(topics.EMAIL_EVENTS, each) for each in events]  # type: ignore[arg-type]  # typed events
        keys = [each.recipient_id.encode() for each in events]
        publish(self.apps.bootstrap, [Outgoing(self.topic, *pair) for pair in zip(keys, values, strict=True)])
        self.events += events

    def is_applied(self) -> bool:
        """Whether every record has been applied and counted."""
        return self.counted() == len(self.events)

    def counted(self) -> int:
        """How many records the database has counted."""
        return sum(stored_totals(self.database_url).values())

    def rebuild(self, *options: str, **settings: str) -> CompletedProcess[str]:
        """Run the command to its end."""
        return mailriver("rebuild", *options, **{**self.settings, **settings})

    def begin(self, **settings: str) -> Popen[str]:
        """Start it."""
        return started("rebuild", **{**self.settings, **settings})

    def expect_the_state_of_all(self) -> None:
        """Every table is what the events make it."""
        assert stored_state(self.database_url) == definition.state(WORLD, self.events)

    def letters(self) -> list[Record]:
        """The dead letters."""
        return read_committed(self.apps.bootstrap, topics.prefixed(self.apps.prefix, topics.EMAIL_EVENTS_DLQ))


@pytest.fixture
def place(kafka: KafkaServer, database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Place]:
    create_topics(kafka.bootstrap, topic_prefix)
    fill(database_url, WORLD)
    with Apps(kafka.bootstrap, database_url, topic_prefix) as apps:
        yield Place(apps, tmp_path)


def test_beside_a_running_storage_nothing_changes_and_the_accounting_stays_exact(place: Place) -> None:
    """What comes meanwhile is counted once, whoever of the two applies it first; storage's offsets are its own."""
    place.publish(*happenings(400))
    storage = place.apps.storage()
    offsets = GroupOffsets(place.apps.bootstrap, f"{place.apps.prefix}storage")
    storage.until(place.is_applied, seconds=60, what="all is applied")
    before = stored_state(place.database_url), stored_totals(place.database_url), stored_offsets(place.database_url)
    with storage.in_background():
        done = place.rebuild()
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("events applied 400, dead letters 0, ")
        after = stored_state(place.database_url), stored_totals(place.database_url), stored_offsets(place.database_url)
        assert after == before
        assert storage.counted("mailriver_consumer_rebalances_total") == 1
        with place.begin() as process:
            for number in range(10):
                place.publish(*happenings(50, seed=2 + number))
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        wait_until(
            lambda: sum(offsets.committed(place.topic, PARTITIONS).values()) == len(place.events),
            seconds=60,
            what="storage has committed all",
        )
    assert place.counted() == len(place.events)
    place.expect_the_state_of_all()


def test_empty_tables_are_filled_again_completely(place: Place) -> None:
    """Ours are lost, the application's are restored; the document's way, and storage goes on with what comes after."""
    place.publish(*happenings(300))
    storage = place.apps.storage()
    storage.until(place.is_applied, seconds=60, what="all is applied")
    storage.close()
    live, totals = stored_state(place.database_url), stored_totals(place.database_url)
    fill(place.database_url, WORLD)
    assert stored_state(place.database_url) != live
    way = [words for _, *words in shell_commands("docs/rebuild.md")]
    assert ["rebuild", "--restart"] in way
    for words in way:
        done = mailriver(*words, **place.settings)
        assert done.returncode == 0, done.stderr
    assert stored_state(place.database_url) == live
    place.expect_the_state_of_all()
    assert sum(stored_totals(place.database_url).values()) == sum(totals.values())
    storage = place.apps.storage()
    place.publish(*happenings(50, seed=2))
    storage.until(place.is_applied, seconds=60, what="storage goes on")
    place.expect_the_state_of_all()


def test_what_storage_has_not_come_to_is_counted_once(place: Place) -> None:
    place.publish(*happenings(200))
    assert place.rebuild().returncode == 0
    totals = stored_totals(place.database_url)
    assert sum(totals.values()) == 200
    assert {outcome for _, _, outcome, _ in totals} == {"changed", "nothing", "ignored"}
    storage = place.apps.storage()
    offsets = GroupOffsets(place.apps.bootstrap, f"{place.apps.prefix}storage")
    storage.until(
        lambda: sum(offsets.committed(place.topic, PARTITIONS).values()) == 200, seconds=60, what="storage read all"
    )
    assert stored_totals(place.database_url) == totals
    place.expect_the_state_of_all()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
def test_interrupted_it_goes_on_where_it_was(number: signal.Signals, place: Place) -> None:
    place.publish(*happenings(3_000))
    with place.begin(STORAGE_BATCH_EVENTS="20") as process:
        wait_until(lambda: place.counted() > 200, seconds=60, what="some batches are applied", every=0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (1 if number is signal.SIGTERM else -signal.SIGKILL), said
    assert ("stopped after" in said) == (number is signal.SIGTERM)
    assert 200 < place.counted() < 3_000
    done = place.rebuild()
    assert done.returncode == 0, done.stderr
    assert "going on with the rebuild that was begun at" in done.stderr
    assert 0 < int(done.stdout.split()[2]) < 3_000
    assert place.is_applied()
    place.expect_the_state_of_all()


def test_an_interrupted_one_can_begin_anew_and_one_that_ended_always_does(place: Place) -> None:
    """Where a backup was restored once more, the old run knows nothing of it."""
    place.publish(*happenings(3_000))
    with place.begin(STORAGE_BATCH_EVENTS="20") as process:
        wait_until(lambda: place.counted() > 200, seconds=60, what="some batches are applied", every=0.01)
        second = place.rebuild()
        assert second.returncode == 1
        assert "another `mailriver rebuild` of this database is running" in second.stderr
        process.terminate()
        process.communicate(timeout=60)
    fill(place.database_url, WORLD)
    for options in (["--restart"], []):
        done = place.rebuild(*options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("events applied 3000, ")
    place.expect_the_state_of_all()


def test_what_cannot_be_read_is_a_dead_letter_and_stops_nothing(place: Place) -> None:
    place.publish(*happenings(20))
    publish(place.apps.bootstrap, [Outgoing(place.topic, b"k", b"no Avro")])
    done = place.rebuild()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("events applied 20, dead letters 1, ")
    assert [letter.value for letter in place.letters()] == [b"no Avro"]
    place.expect_the_state_of_all()


def test_an_empty_topic_is_done_at_once(place: Place) -> None:
    done = place.rebuild()
    assert (done.returncode, done.stdout.partition(", ")[0]) == (0, "events applied 0")


def test_without_its_servers_it_ends_with_a_sentence(place: Place) -> None:
    away = place.rebuild(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert away.returncode == 1
    assert "Kafka" in away.stderr
    none = place.rebuild(DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert none.returncode == 1
    with empty_database(place.database_url) as url:
        bare = place.rebuild(DATABASE_URL=url)
    assert (bare.returncode, "mailriver migrate" in bare.stderr) == (1, True)
    missing = mailriver("rebuild")
    assert (missing.returncode, "DATABASE_URL" in missing.stderr) == (2, True)
    assert not any("Traceback" in each.stderr for each in (away, none, bare, missing))
    with psycopg.connect(place.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM mailriver.storage_offsets").fetchone() == (0,)
