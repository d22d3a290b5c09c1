"""The consumers' apps inside the test's own process: a test steps them, and sees what they say of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from threading import Event, Thread
from typing import TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from prometheus_client import CollectorRegistry

from services.processor import app as processor_app
from services.processor.settings import ProcessorSettings
from services.runtime.bus.api import Outgoing, Partition
from services.runtime.bus.config import KafkaConfig
from services.runtime.clock import SystemClock
from services.runtime.codecs import codec_for
from services.runtime.health import Health
from services.runtime.lifecycle import App, Chassis
from services.runtime.settings import load
from services.runtime.worker import WORKER
from services.storage import app as storage_app
from services.storage.settings import StorageSettings
from tests.support.waiting import wait_until

T = TypeVar("T")
_ANY_PARTITION = -1


class Stepped:
    """An app and what it was given; closed once, by :meth:`close`."""

    def __init__(self, app: App, chassis: Chassis) -> None:
        self._app, self._chassis = app, chassis
        self.health = chassis.health
        self.slowest_seconds = 0.0
        """The longest step so far."""

    def step(self) -> None:
        """One step of the app."""
        began = time.monotonic()
        self._app.step()
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)

    def until(self, condition: Callable[[], T], *, seconds: float, what: str) -> T:
        """Step until ``condition`` holds; its answer."""

        def stepped() -> T:
            self.step()
            return condition()

        return wait_until(stepped, seconds=seconds, what=what, every=0.0)

    def for_seconds(self, seconds: float) -> None:
        """Step for some time, to see that nothing happens in it."""
        ends = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > ends, seconds=seconds + 60, what=f"{seconds:g} s have passed")

    def joins(self) -> None:
        """Step until it has partitions."""
        self.until(lambda: not self.health.startup(), seconds=30, what="the group is joined")

    def counted(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return sum(
            sample.value
            for metric in self._chassis.registry.collect()
            for sample in metric.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def counts(self, name: str, label: str) -> dict[str, float]:
        """The samples of a metric by one of their labels, those that are zero left out."""
        samples = [sample for metric in self._chassis.registry.collect() for sample in metric.samples]
        values = {each.labels[label] for each in samples if each.name == name}
        counted = {value: self.counted(name, **{label: value}) for value in values}
        return {value: number for value, number in counted.items() if number}

    def close(self) -> None:
        """End the app as a stop of its process would."""
        self._chassis.stop.set()
        self._app.close()

    @contextmanager
    def in_background(self) -> Iterator[Background]:
        """Step it in a thread as long as this lasts; what a step raises is raised at the end."""
        background = Background(self)
        try:
            yield background
        finally:
            background.end()
        if background.failure is not None:
            raise background.failure


class Background:
    """The thread that steps an app."""

    def __init__(self, stepped: Stepped) -> None:
        self.failure: BaseException | None = None
        self._stepped, self._ends = stepped, Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ends.is_set():
                self._stepped.step()
        except BaseException as error:
            self.failure = error

    def end(self) -> None:
        """Let the present step be the last one, and wait for it."""
        self._ends.set()
        self._thread.join()


class Apps:
    """Makes apps on the same servers, and closes them at the end. A context manager."""

    def __init__(self, bootstrap: str, database_url: str, prefix: str) -> None:
        self.bootstrap, self.database_url, self.prefix = bootstrap, database_url, prefix
        self._open = ExitStack()
        self._made = 0

    def __enter__(self) -> Apps:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def processor(self, database_url: str | None = None, **settings: str) -> Stepped:
        """A processor, not yet in its group. ``settings``: by their names in the environment."""
        chassis = self._chassis("processor", processor_app.DEPENDENCIES)
        given = load(ProcessorSettings, self._environ(database_url, settings))
        return self._kept(Stepped(processor_app.build(given, codec_for(None), chassis), chassis))

    def storage(self, database_url: str | None = None, **settings: str) -> Stepped:
        """A storage, not yet in its group. ``settings``: by their names in the environment."""
        chassis = self._chassis("storage", storage_app.DEPENDENCIES)
        given = load(StorageSettings, self._environ(database_url, settings))
        return self._kept(Stepped(storage_app.build(given, codec_for(None), chassis), chassis))

    def _environ(self, database_url: str | None, settings: Mapping[str, str]) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "DATABASE_URL": database_url or self.database_url,
            "TOPIC_PREFIX": self.prefix,
            **settings,
        }

    def _chassis(self, service: str, dependencies: tuple[str, ...]) -> Chassis:
        self._made += 1
        clock = SystemClock()
        health = Health(clock, dependencies=dependencies, workers=(WORKER,))
        instance = f"test-{self._made}"
        return Chassis(service, instance, clock, Random(self._made).random, CollectorRegistry(), health, Event())

    def _kept(self, stepped: Stepped) -> Stepped:
        self._open.callback(stepped.close)
        return stepped


def publish(bootstrap: str, records: Iterable[Outgoing], partition: int | None = None) -> None:
    """Write records as they are, outside of any transaction, and wait until the broker has them all."""
    settings = KafkaConfig(bootstrap).producer("unused")
    del settings["transactional.id"]
    producer = Producer({**settings, "message.timeout.ms": 120_000, "queue.buffering.max.kbytes": 262_144})
    failures: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    for record in records:
        headers: list[tuple[str, str | bytes | None]] = [*record.headers]
        place = _ANY_PARTITION if partition is None else partition
        producer.produce(record.topic, record.value, record.key, place, delivered, headers=headers)
        producer.poll(0)
    assert producer.flush(120) == 0
    assert failures == []


class GroupOffsets:
    """What a consumer group has committed, as an onlooker sees and a test may set it."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._bootstrap, self._group = bootstrap, group

    def committed(self, topic: str, partitions: int) -> dict[Partition, int]:
        """The committed next offsets of a topic's partitions; those that have none are left out."""
        with self._consumer() as consumer:
            found = consumer.committed([TopicPartition(topic, number) for number in range(partitions)], timeout=20)
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Set them; the group must be without members."""
        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        with self._consumer() as consumer:
            wait_until(lambda: _committed(consumer, wanted), seconds=30, what=f"{self._group} is without members")

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(KafkaConfig(self._bootstrap).consumer(self._group))
        try:
            yield consumer
        finally:
            consumer.close()


def _committed(consumer: Consumer, offsets: list[TopicPartition]) -> bool:
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException:
        return False
    return True


class Seen(msgspec.Struct):
    """The largest of something over time."""

    most: float = 0.0

    def see(self, value: float) -> None:
        """Look at the present value."""
        self.most = max(self.most, value)
