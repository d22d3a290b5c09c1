"""The embedded Kafka: it starts, keeps what it was given over any end, and is found at the same address again."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.runtime.errors import Fatal
from services.sandbox.kafka import EmbeddedKafka

pytestmark = pytest.mark.integration
TOPIC = "kept"


@pytest.fixture
def broker(tmp_path: Path, kafka_libs: Path) -> Iterator[EmbeddedKafka]:
    """A broker that has not been started."""
    server = EmbeddedKafka(tmp_path / "kafka", libs=kafka_libs, heap_mb=384)
    yield server
    server.kill()


def create_topic(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(10)


def publish(bootstrap: str, *values: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for value in values:
        producer.produce(TOPIC, value)
    assert producer.flush(30) == 0


def published(bootstrap: str, count: int) -> list[str]:
    """The first ``count`` values of the topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        return [(message.value() or b"").decode() for message in consumer.consume(count, 30)]
    finally:
        consumer.close()


def test_what_was_acknowledged_survives_a_stop_and_a_kill_at_the_same_address(broker: EmbeddedKafka) -> None:
    broker.start()
    address = broker.bootstrap
    create_topic(address)
    publish(address, "before the stop")
    broker.stop()
    assert not broker.running

    broker.start()
    assert broker.bootstrap == address
    publish(address, "before the kill")
    broker.kill()
    assert not broker.running

    broker.start()
    assert broker.bootstrap == address
    publish(address, "after the kill")
    assert published(address, 3) == ["before the stop", "before the kill", "after the kill"]


def test_a_frozen_broker_does_not_answer_until_it_goes_on(broker: EmbeddedKafka) -> None:
    with broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        broker.pause()
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=0.5)
        broker.resume()
        assert admin.list_topics(timeout=20).brokers


def test_a_topic_that_was_not_created_does_not_appear(broker: EmbeddedKafka) -> None:
    with broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        admin.list_topics("misspelt", timeout=10)
        assert "misspelt" not in admin.list_topics(timeout=10).topics


def test_a_broken_archive_of_classes_does_not_break_the_start(tmp_path: Path, kafka_libs: Path) -> None:
    libs = tmp_path / "libs"
    shutil.copytree(kafka_libs, libs, ignore=shutil.ignore_patterns("*.jsa"))
    broker = EmbeddedKafka(tmp_path / "kafka", libs=libs, heap_mb=384)
    with broker:
        pass
    (archive,) = libs.glob("*.jsa")
    archive.write_bytes(b"no archive")
    with broker:
        assert broker.running


def test_a_start_that_fails_says_why(broker: EmbeddedKafka, tmp_path: Path) -> None:
    broker.start()
    broker.stop()
    (tmp_path / "kafka" / "logs" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
    with pytest.raises(Fatal, match=r"(?s)Kafka ended with exit code .*node"):
        broker.start()
    assert not broker.running


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path, kafka_libs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Fatal, match=f"Port {port} .* is in use"):
            EmbeddedKafka(tmp_path / "kafka", libs=kafka_libs, port=port).start()


def test_what_does_not_run_has_no_process(broker: EmbeddedKafka) -> None:
    with pytest.raises(Fatal, match="does not run"):
        broker.pause()
    with pytest.raises(Fatal, match="no address before it was started"):
        assert broker.bootstrap
    broker.stop()


def test_it_listens_on_loopback_alone(broker: EmbeddedKafka) -> None:
    with broker:
        listening = [c for c in psutil.Process(broker.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert len(listening) == 2
        assert {address.laddr.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
