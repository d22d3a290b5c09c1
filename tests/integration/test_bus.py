"""The clients of the bus on a real broker: what is written together, who is refused, what is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from services.runtime.bus.api import Outgoing, Partition, Record
from services.runtime.bus.compacted import CompactedTopic
from services.runtime.bus.config import RESERVED, KafkaConfig, parse_properties
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.metadata import admin_client
from services.runtime.bus.producer import TransactionalProducer
from services.runtime.clock import SystemClock
from services.runtime.errors import SessionLost, SettingsError, Transient
from tests.support.apps import GroupOffsets, publish
from tests.support.servers import KafkaServer
from tests.support.topics import read_committed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

CLOCK = SystemClock()
MEGABYTES = 1024 * 1024
IMPATIENT = {"session.timeout.ms": "2000", "max.poll.interval.ms": "2000", "heartbeat.interval.ms": "300"}


def ignore(_name: str, _text: str) -> None:
    """What a client tells of the background is of no interest here."""


class Bus:
    """Clients on topics of the test's own, closed at the end."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self.group = f"{prefix}group"
        self.admin = admin_client(KafkaConfig(bootstrap))
        self._open = ExitStack()

    def topic(self, name: str, *, partitions: int = 1, **config: str) -> str:
        """A new topic. ``config``: its settings, with ``_`` for ``.``."""
        full = f"{self.prefix}{name}"
        config = {name.replace("_", "."): value for name, value in config.items()}
        topic = NewTopic(full, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([topic])[full].result()
        return full

    def consumer(self, *topics: str, properties: dict[str, str] | None = None) -> GroupConsumer:
        """A member of the test's group, with partitions."""
        config = KafkaConfig(self.bootstrap, properties)
        consumer = GroupConsumer(config, self.group, topics, on_error=ignore)
        self._open.callback(consumer.close)
        return consumer

    def producer(self, name: str = "writer") -> TransactionalProducer:
        """A producer that has fenced its predecessors."""
        producer = TransactionalProducer(
            KafkaConfig(self.bootstrap), f"{self.prefix}{name}", clock=CLOCK, on_error=ignore
        )
        self._open.callback(producer.close)
        producer.open()
        return producer

    def bare_producer(self, name: str) -> Producer:
        """A producer of the library, whose transaction a test can leave open."""
        settings = KafkaConfig(self.bootstrap).producer(f"{self.prefix}{name}")
        producer = Producer(settings)
        producer.init_transactions(20)
        return producer

    def compacted(self, topic: str) -> CompactedTopic:
        """A reader of a compacted topic."""
        return CompactedTopic(KafkaConfig(self.bootstrap), topic, clock=CLOCK, on_error=ignore)

    def committed(self, topic: str, partitions: int = 1) -> dict[Partition, int]:
        """What the group has committed."""
        return GroupOffsets(self.bootstrap, self.group).committed(topic, partitions)

    def values(self, topic: str) -> list[bytes | None]:
        """The committed values of a topic."""
        return [record.value for record in read_committed(self.bootstrap, topic)]

    def close(self) -> None:
        """Close all clients."""
        self._open.close()


@pytest.fixture
def bus(kafka: KafkaServer, topic_prefix: str) -> Iterator[Bus]:
    bus = Bus(kafka.bootstrap, topic_prefix)
    yield bus
    bus.close()


def polled(consumer: GroupConsumer, count: int) -> list[Record]:
    """The next records, exactly so many."""
    found: list[Record] = []

    def has_all() -> bool:
        found.extend(consumer.poll(count - len(found), 0.2, most_bytes=MEGABYTES, linger=0.05))
        return len(found) == count

    wait_until(has_all, seconds=30, what=f"{count} records are polled", every=0.0)
    return found


def joined(*consumers: GroupConsumer, are: Callable[[], bool]) -> None:
    """Poll all of them, reading nothing, until the partitions are shared out as wanted."""

    def shared_out() -> bool:
        for consumer in consumers:
            assert consumer.poll(1, 0.05, most_bytes=1, linger=0.0) == []
        return are()

    wait_until(shared_out, seconds=30, what="the partitions are shared out", every=0.0)


def numbered(topic: str, count: int, *, size: int = 0, first: int = 0) -> list[Outgoing]:
    """Records that count."""
    return [Outgoing(topic, b"%d" % n, b"%d" % n + b"." * size) for n in range(first, first + count)]


def test_records_and_offsets_are_committed_together(bus: Bus) -> None:
    """After a commit both are there, for the next member of the group too."""
    source, target = bus.topic("source"), bus.topic("target")
    publish(bus.bootstrap, numbered(source, 5))
    consumer, producer = bus.consumer(source), bus.producer()
    polled(consumer, 5)
    producer.commit([Outgoing(target, b"k", b"v", (("h", b"1"),))], {(source, 0): 3}, consumer.group_metadata())
    assert bus.committed(source) == {(source, 0): 3}
    (record,) = read_committed(bus.bootstrap, target)
    assert (record.key, record.value, record.headers) == (b"k", b"v", (("h", b"1"),))
    consumer.close()
    assert [record.offset for record in polled(bus.consumer(source), 2)] == [3, 4]


def test_of_a_commit_that_fails_nothing_is_left_and_it_can_be_done_again(bus: Bus) -> None:
    """A record that is too large for its topic takes the others and the offsets down with it; without it they go."""
    source, target = bus.topic("source"), bus.topic("target", max_message_bytes="100000")
    publish(bus.bootstrap, numbered(source, 1))
    consumer, producer = bus.consumer(source), bus.producer()
    polled(consumer, 1)
    small, large = Outgoing(target, b"k", b"v"), Outgoing(target, b"k", Random(1).randbytes(200_000))
    with pytest.raises(Transient) as raised:
        producer.commit([small, large], {(source, 0): 1}, consumer.group_metadata())
    assert not isinstance(raised.value, SessionLost)
    assert bus.values(target) == []
    assert bus.committed(source) == {}

    def commits() -> bool:
        # librdkafka counts on from the refused record, so that its next transaction is refused for that once more.
        try:
            producer.commit([small], {(source, 0): 1}, consumer.group_metadata())
        except Transient:
            return False
        return True

    wait_until(commits, seconds=20, what="the rest goes through")
    assert bus.values(target) == [b"v"]
    assert bus.committed(source) == {(source, 0): 1}


def test_a_second_producer_of_the_same_id_fences_the_first(bus: Bus) -> None:
    """The first one's open transaction ends unseen, and it learns that it is lost."""
    source, target = bus.topic("source"), bus.topic("target")
    publish(bus.bootstrap, numbered(source, 1))
    consumer = bus.consumer(source)
    polled(consumer, 1)
    first = bus.producer("same")
    first.commit([Outgoing(target, b"k", b"first")], {}, consumer.group_metadata())
    second = bus.producer("same")
    with pytest.raises(SessionLost):
        first.commit([Outgoing(target, b"k", b"zombie")], {(source, 0): 1}, consumer.group_metadata())
    second.commit([Outgoing(target, b"k", b"second")], {}, consumer.group_metadata())
    assert bus.values(target) == [b"first", b"second"]
    assert bus.committed(source) == {}


def test_a_member_of_a_past_generation_is_refused(bus: Bus) -> None:
    """What a member read before a rebalance it cannot commit with the generation of that time."""
    source, target = bus.topic("source", partitions=2), bus.topic("target")
    first = bus.consumer(source)
    joined(first, are=lambda: len(first.assigned) == 2)
    past = first.group_metadata()
    second = bus.consumer(source)
    joined(first, second, are=lambda: len(first.assigned) == len(second.assigned) == 1)
    with pytest.raises(Transient):
        bus.producer().commit([Outgoing(target, b"k", b"v")], {(source, 0): 1, (source, 1): 1}, past)
    assert bus.values(target) == []
    assert bus.committed(source, 2) == {}


def test_who_was_thrown_out_of_the_group_and_does_not_know_it_yet_is_refused(bus: Bus) -> None:
    """A member that stood still for too long has no id any more, and Kafka would take offsets without one."""
    source, target = bus.topic("source"), bus.topic("target")
    publish(bus.bootstrap, numbered(source, 1))
    sleeper = bus.consumer(source, properties=IMPATIENT)
    polled(sleeper, 1)
    heir = bus.consumer(source)
    joined_records = polled(heir, 1)
    assert joined_records[0].offset == 0
    with pytest.raises(Transient):
        bus.producer().commit([Outgoing(target, b"k", b"v")], {(source, 0): 1}, sleeper.group_metadata())
    assert bus.values(target) == []
    assert bus.committed(source) == {}


def test_who_is_in_no_group_yet_has_no_generation(bus: Bus) -> None:
    """Kafka takes offsets that name no member without a question, so they must not be sent."""
    with pytest.raises(Transient, match="no member"):
        bus.consumer(bus.topic("source")).group_metadata()


def test_a_commit_without_records_is_refused_to_who_was_thrown_out(bus: Bus) -> None:
    """Offsets alone are no different: the heir goes on from where it is, unmoved."""
    source = bus.topic("source")
    publish(bus.bootstrap, numbered(source, 3))
    sleeper = bus.consumer(source, properties=IMPATIENT)
    polled(sleeper, 3)
    heir = bus.consumer(source)
    polled(heir, 3)
    heir.commit({(source, 0): 1})
    with pytest.raises(Transient):
        sleeper.commit({(source, 0): 3})
    assert bus.committed(source) == {(source, 0): 1}


def test_a_compacted_topic_is_read_as_committed_behind_an_open_transaction(bus: Bus) -> None:
    """Last values by key, no deleted ones, nothing aborted; an open transaction that ends in time hides nothing."""
    topic = bus.topic("state", partitions=3, cleanup_policy="compact")
    writer = bus.bare_producer("writer")
    writer.begin_transaction()
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"c", b"1"), (b"a", b"2"), (b"b", None)):
        writer.produce(topic, value, key)
    writer.commit_transaction(20)
    writer.begin_transaction()
    writer.produce(topic, b"aborted", b"a")
    writer.produce(topic, None, b"c")
    writer.flush(20)
    writer.abort_transaction(20)
    other = bus.bare_producer("other")
    other.begin_transaction()
    for number in range(30):
        other.produce(topic, b"open", b"other-%d" % number)
    other.flush(20)
    writer.begin_transaction()
    writer.produce(topic, b"behind", b"d")
    writer.commit_transaction(20)
    reader = bus.compacted(topic)
    with pytest.raises(Transient, match="not read to its end"):
        reader.read(timeout=1.0)
    other.abort_transaction(20)
    assert reader.read() == {b"a": b"2", b"c": b"1", b"d": b"behind"}


def test_an_empty_compacted_topic_and_a_missing_one(bus: Bus) -> None:
    """Nothing is in the one; the other is asked for again later, with a word on what to do."""
    assert bus.compacted(bus.topic("empty", cleanup_policy="compact")).read() == {}
    with pytest.raises(Transient, match="topics create"):
        bus.compacted(f"{bus.prefix}missing").read()


def test_lag_is_zero_at_the_end_though_transaction_marks_follow(bus: Bus) -> None:
    """Offsets that hold no record are no lag; a new record is."""
    topic = bus.topic("source")
    producer, consumer = bus.producer(), bus.consumer(topic)
    for number in range(5):
        producer.commit([Outgoing(topic, b"k", b"%d" % number)], {}, consumer_metadata(bus, consumer))
    records = polled(consumer, 5)
    behind = consumer.lag({(topic, 0): 0}, {(topic, 0): records[0].timestamp_ms})
    assert (behind[0].messages >= 5, behind[0].oldest_ms) == (True, records[0].timestamp_ms)
    after = {(topic, 0): records[-1].offset + 1}

    def messages() -> int:
        assert consumer.poll(1, 0.05, most_bytes=1, linger=0.0) == []
        (lag,) = consumer.lag(after, {(topic, 0): 7})
        assert lag.oldest_ms == (7 if lag.messages else None)
        return lag.messages

    wait_until(lambda: messages() == 0, seconds=20, what="nothing is left", every=0.0)
    producer.commit([Outgoing(topic, b"k", b"new")], {}, consumer_metadata(bus, consumer))
    polled(consumer, 1)
    assert consumer.lag(after, {})[0].messages >= 1


def consumer_metadata(bus: Bus, consumer: GroupConsumer) -> Any:
    """The generation of a consumer that has joined."""
    wait_until(
        lambda: consumer.assigned or consumer.poll(1, 0.05, most_bytes=1, linger=0.0),
        seconds=30,
        what="the group is joined",
        every=0.0,
    )
    return consumer.group_metadata()


def test_lag_does_not_count_what_retention_has_deleted(bus: Bus) -> None:
    """A group that has committed nothing is as far behind as there are records."""
    topic = bus.topic("source")
    publish(bus.bootstrap, numbered(topic, 10))
    for deleted in bus.admin.delete_records([TopicPartition(topic, 0, 6)]).values():
        deleted.result()
    consumer = bus.consumer(topic)
    polled(consumer, 4)
    assert consumer.committed([(topic, 0)]) == {(topic, 0): 0}
    wait_until(
        lambda: (
            consumer.poll(1, 0.05, most_bytes=1, linger=0.0) == []
            and consumer.lag({(topic, 0): 0}, {})[0].messages == 4
        ),
        seconds=20,
        what="four are left",
    )


def test_a_poll_is_bounded_by_records_and_by_bytes(bus: Bus) -> None:
    """With a backlog a batch is as large as it may be, to the record; by bytes it ends with the chunk that has them."""
    topic = bus.topic("source")
    publish(bus.bootstrap, numbered(topic, 9_000, size=200))
    consumer = bus.consumer(topic)
    polled(consumer, 1)
    assert len(consumer.poll(700, 0.5, most_bytes=100 * MEGABYTES, linger=0.05)) == 700
    assert len(consumer.poll(3_000, 0.5, most_bytes=100 * MEGABYTES, linger=0.05)) == 3_000
    assert 1 < len(consumer.poll(5_000, 0.5, most_bytes=1_000, linger=0.05)) <= 2_001
    assert len(consumer.poll(5_000, 0.5, most_bytes=1, linger=0.05)) == 1


def test_offsets_are_right_after_pause_rewind_and_resume(bus: Bus) -> None:
    """What was polled and put back comes again, once, in order, after any of these in any combination."""
    topic = bus.topic("source")
    publish(bus.bootstrap, numbered(topic, 100))
    consumer, place = bus.consumer(topic), (topic, 0)
    assert [record.offset for record in polled(consumer, 40)] == list(range(40))
    consumer.rewind(place, 10)
    consumer.pause([place])
    for _ in range(3):
        assert consumer.poll(100, 0.1, most_bytes=MEGABYTES, linger=0.05) == []
    consumer.resume([place])
    assert [record.offset for record in polled(consumer, 30)] == list(range(10, 40))
    consumer.pause([place])
    assert consumer.poll(100, 0.1, most_bytes=MEGABYTES, linger=0.05) == []
    consumer.resume([place])
    assert [record.offset for record in polled(consumer, 60)] == list(range(40, 100))


def test_a_pause_ends_with_the_assignment(bus: Bus) -> None:
    """A partition that was paused, given away and got back is read again, without anybody having resumed it."""
    topic = bus.topic("source", partitions=2)
    consumer = bus.consumer(topic)
    joined(consumer, are=lambda: len(consumer.assigned) == 2)
    consumer.pause(consumer.assigned)
    guest = bus.consumer(topic)
    joined(consumer, guest, are=lambda: len(consumer.assigned) == len(guest.assigned) == 1)
    guest.close()
    joined(consumer, are=lambda: len(consumer.assigned) == 2)
    for partition in range(2):
        publish(bus.bootstrap, numbered(topic, 3), partition)
    polled(consumer, 6)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_properties_that_would_break_a_promise_are_refused(name: str) -> None:
    """The fault names the line and the property."""
    with pytest.raises(SettingsError, match=f"line 2: {name}"):
        parse_properties(f"# comment\n{name}=x\nsecurity.protocol=SSL")
