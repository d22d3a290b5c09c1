"""A fetcher inside the test's process, and a journal of all that fetchers have committed to their topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from threading import Event, Thread
from typing import Any, Self, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from prometheus_client import CollectorRegistry
from typing_extensions import override

from services.contracts import topics
from services.contracts.events import CancelFetch, FetchState, RawMailgunEvent, ScheduleFetch
from services.contracts.identity import occurred_at
from services.contracts.reasons import Loop
from services.fetcher.app import DEPENDENCIES, WORKER, build
from services.fetcher.core.cursor import cut
from services.fetcher.core.loop import LoopState
from services.fetcher.core.window import EVENT_TYPES, LATEST
from services.fetcher.settings import FetcherSettings
from services.runtime.bus.api import Outgoing, Record
from services.runtime.bus.client import record_of
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of
from services.runtime.clock import Clock, SystemClock
from services.runtime.codecs import codec_for
from services.runtime.health import Health
from services.runtime.lifecycle import Chassis
from services.runtime.settings import load
from services.sandbox.mailgun import MailgunSimulator, SimulatedEvent, event_of
from tests.support.apps import publish
from tests.support.topics import create_topics
from tests.support.waiting import wait_until

DOMAIN = "mg.example.com"
API_KEY = "key-of-the-simulator"
QUICK = {
    "FETCH_INTERVAL_SECONDS": "0.2",
    "FETCH_END_MARGIN_SECONDS": "0.3",
    "FETCH_TRUST_AGE_SECONDS": "600",  # missing stays out of the way, unless a test wants it
    "FETCH_LOOKBACK_SECONDS": "60",
    "FETCH_MISSING_LOOKBACK_SECONDS": "600",
    "FETCH_REQUESTS_PER_SECOND": "0",
}
Identity = tuple[str, str, int | None]
"""Domain, id and instant of an event."""
T = TypeVar("T")
_EOF: int = KafkaError._PARTITION_EOF


class JumpingClock(SystemClock):
    """The machine's clock, whose monotonic time a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    @override
    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Fetcher:
    """A fetcher that the test steps. A context manager that closes it."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        base_url: str,
        settings: Mapping[str, str] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """``settings``: over the quick ones, by their names."""
        environ = {
            "MAILGUN_API_KEY": API_KEY,
            "MAILGUN_DOMAINS": DOMAIN,
            "MAILGUN_BASE_URL": base_url,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TOPIC_PREFIX": prefix,
            **QUICK,
            **(settings or {}),
        }
        clock = clock or SystemClock()
        self.registry = CollectorRegistry()
        self.health = Health(clock, dependencies=DEPENDENCIES, workers=(WORKER,))
        # Without luck every pause is the shortest that it may be.
        chassis = Chassis("fetcher", "test", clock, lambda: 0.0, self.registry, self.health, Event())
        self.app = build(load(FetcherSettings, environ), codec_for(None), chassis)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.app.close()

    def step_until(self, condition: Callable[[], T], *, seconds: float, what: str) -> T:
        """Step until the condition holds; its answer."""

        def stepped() -> T:
            self.app.step()
            return condition()

        return wait_until(stepped, seconds=seconds, what=what, every=0.001)

    @property
    def states(self) -> dict[tuple[str, Loop], LoopState]:
        """The states of the loops that it holds."""
        return {(task.state.domain, task.state.loop): task.state for task in self.app._leases.loops}

    @property
    def domains(self) -> set[str]:
        """The domains whose loops it says to hold; from any thread."""
        return {
            sample.labels["domain"]
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "mailriver_fetcher_loop_holder"
        }

    def lag(self, loop: Loop, domain: str = DOMAIN) -> float:
        """The lag of a loop in seconds, as a scrape sees it."""
        labels = {"loop": loop.value, "domain": domain}
        return self.registry.get_sample_value("mailriver_fetcher_loop_lag_seconds", labels) or 0.0


class Stepping:
    """A thread that steps a fetcher; paused, it does not even poll. As a context manager it ends, and tells faults."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher
        self._end, self._go = Event(), Event()
        self._idle = Event()
        self._fault: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._go.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._go.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "a step takes more than two minutes"
        if self._fault is not None:
            raise self._fault

    def pause(self) -> None:
        """Do not step any more, from when this returns on."""
        self._idle.clear()
        self._go.clear()
        assert self._idle.wait(60)

    def resume(self) -> None:
        """Step again."""
        self._go.set()

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                if not self._go.is_set():
                    self._idle.set()
                    self._go.wait()
                    continue
                self.fetcher.app.step()
        except BaseException as error:
            self._fault = error


class Journal:
    """All that fetchers have committed to the topics of a prefix so far, in the order of each partition."""

    def __init__(self, bootstrap: str, prefix: str, *, create: bool = True) -> None:
        if create:
            create_topics(bootstrap, prefix)
        self.raw: list[RawMailgunEvent] = []
        self.states: list[FetchState] = []
        self.dead: list[Record] = []
        self.removed: list[bytes] = []
        self._codec, self._prefix = codec_for(None), prefix
        self._bootstrap = bootstrap
        self._admin = admin_client(KafkaConfig(bootstrap))
        self._consumer = Consumer(KafkaConfig(bootstrap).consumer("reads-without-a-group"))
        names = [topics.prefixed(prefix, name) for name in (topics.RAW, topics.FETCH_STATE, topics.RAW_DLQ)]
        self._reached = {(name, number): 0 for name in names for number in partitions_of(self._admin, name)}
        self._consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in self._reached])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read_on(self, seconds: float = 30.0) -> Self:
        """Read all that is there now; what a transaction that is not decided yet holds is waited for."""
        ends = wait_until(self._ends, seconds=seconds, what="the broker tells the ends of the topics")
        wait_until(lambda: self._read_to(ends), seconds=seconds, what="every transaction is decided", every=0.001)
        return self

    def _ends(self) -> dict[tuple[str, int], int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(*place): latest for place in self._reached}
        futures = self._admin.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=5)
        try:
            return {(place.topic, place.partition): future.result().offset for place, future in futures.items()}
        except KafkaException:
            # The broker is still at work on a new topic, or just back; what the old client knows of it may be stale.
            self._admin = admin_client(KafkaConfig(self._bootstrap))
            return {}

    def _read_to(self, ends: dict[tuple[str, int], int]) -> bool:
        if all(self._reached[place] >= end for place, end in ends.items()):
            return True
        for message in self._consumer.consume(1_000, 0.05):
            topic, partition, offset, error = message.topic(), message.partition(), message.offset(), message.error()
            if topic is None or partition is None or offset is None:
                continue  # An error of the connection: it comes back by itself.
            if error is None:
                self._take(record_of(message))
                self._reached[topic, partition] = offset + 1
            elif error.code() == _EOF:
                self._reached[topic, partition] = offset
        return all(self._reached[place] >= end for place, end in ends.items())

    def _take(self, record: Record) -> None:
        if record.topic == topics.prefixed(self._prefix, topics.RAW_DLQ):
            self.dead.append(record)
            return
        if record.value is None:
            self.removed.append(record.key or b"")
            return
        message = self._codec.decode(record.value)
        if isinstance(message, RawMailgunEvent):
            self.raw.append(message)
        elif isinstance(message, FetchState):
            self.states.append(message)

    @property
    def last_states(self) -> dict[tuple[str, Loop], FetchState]:
        """The last state of each loop."""
        return {(state.domain, Loop(state.loop)): state for state in self.states}

    @property
    def schedules(self) -> dict[str, FetchState]:
        """The last state of each scheduled fetch by its id."""
        return {state.schedule_id: state for state in self.states if state.schedule_id is not None}

    def counts_of(self, loop: Loop) -> Counter[Identity]:
        """How often a loop has published each event."""
        return Counter(identity_of(raw) for raw in self.raw if raw.loop == loop)

    @property
    def counts(self) -> Counter[Identity]:
        """How often each event is in the raw topic, items without a time apart."""
        return Counter(identity for identity in map(identity_of, self.raw) if identity[2] is not None)

    def check_cursors(self, shown: Iterable[tuple[str, SimulatedEvent]]) -> None:
        """No latest loop has passed an event that Kafka has not; ``shown`` are all, visible at their own times."""
        published = set(self.counts)
        for (domain, loop), state in self.last_states.items():
            if loop not in LATEST:
                continue
            passed = max(cut(state.begin), cut(state.fetched_through or 0))
            types = set(EVENT_TYPES[loop])
            due = {
                identity
                for of, event in shown
                if of == domain and event.event_type in types and (identity := shown_as(of, event))[2] is not None
                if identity[2] < passed
            }
            assert due <= published, f"{domain}/{loop} has passed {len(due - published)} events that are not in Kafka"


class Orders:
    """Writes commands as the console would."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap, self._codec = bootstrap, codec_for(None)
        self._topic = topics.prefixed(prefix, topics.FETCH_COMMANDS)

    def send(self, *commands: ScheduleFetch | CancelFetch, key: str | None = None) -> None:
        """Write commands; ``key``: another one than their domain."""
        values = [(key or each.domain, self._codec.encode(topics.FETCH_COMMANDS, each)) for each in commands]
        publish(self._bootstrap, [Outgoing(self._topic, name.encode(), value) for name, value in values])

    def send_bytes(self, value: bytes | None, *, key: str = DOMAIN) -> None:
        """Write what may be no command."""
        publish(self._bootstrap, [Outgoing(self._topic, key.encode(), value)])


def order(
    schedule_id: str, begin: float, end: float, *, domain: str = DOMAIN, types: list[str] | None = None
) -> ScheduleFetch:
    """An order for [begin, end), in seconds."""
    return ScheduleFetch(
        schedule_id=schedule_id,
        domain=domain,
        begin=round(begin * 1e6),
        end=round(end * 1e6),
        event_types=types,
        requested_at=round(end * 1e6),
    )


def cancellation(schedule_id: str, *, domain: str = DOMAIN) -> CancelFetch:
    """An order to stop it."""
    return CancelFetch(schedule_id=schedule_id, domain=domain, requested_at=0)


def identity_of(raw: RawMailgunEvent) -> Identity:
    """The event of a raw record."""
    return raw.domain, raw.event_id, raw.occurred_at


def shown_as(domain: str, event: SimulatedEvent) -> Identity:
    """How an event of the simulator is to arrive."""
    return domain, event.id, occurred_at(event.timestamp)


def one(
    name: str, at: float, event_type: str = "delivered", *, shown_at: float | None = None, **more: Any
) -> SimulatedEvent:
    """An event at an instant in seconds, cut to microseconds; visible from then on, or from ``shown_at``."""
    payload = {
        "id": name,
        "event": event_type,
        "timestamp": round(at, 6),
        "recipient": f"{name}@example.net",
        "message": {"headers": {"message-id": f"{name}@mg.example.com"}},
        **more,
    }
    return event_of(payload, visible_at=shown_at)


def several(count: int, start: float, seconds: float, *, name: str = "e") -> list[SimulatedEvent]:
    """Events spread over some seconds; a third of them opened or clicked."""
    types = ("delivered", "delivered", "opened", "failed", "delivered", "clicked")
    return [
        one(f"{name}{number}", start + seconds * number / count, types[number % len(types)]) for number in range(count)
    ]


def add(simulator: MailgunSimulator, events: list[SimulatedEvent], domain: str = DOMAIN) -> set[Identity]:
    """Put events into the simulator; how they are to arrive."""
    simulator.add(domain, events)
    return {shown_as(domain, event) for event in events}
