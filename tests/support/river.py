"""The whole river for a test: the three services as processes, on this test's topics, database and simulator."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import psycopg

from services.contracts import topics
from services.contracts.events import EmailEvent, RawMailgunEvent
from services.runtime.bus.api import Record
from services.runtime.codecs import codec_for
from services.sandbox import newsletter as newsletters
from services.sandbox.demo import fast_loops
from services.sandbox.newsletter import Newsletter, Rows
from services.sandbox.ports import free_port
from services.sandbox.stack import SERVICES, Service
from services.sandbox.truth import Comparison, compare
from tests.support.topics import create_topics, read_committed
from tests.support.waiting import wait_until

Identity = tuple[str, int | None]
"""Id and instant of an event: the same event if both are."""


# A killed process is missed after 3 s instead of 10.
_QUICK_TAKEOVER = "session.timeout.ms=3000\nheartbeat.interval.ms=500\n"


class River:
    """Services that can be started, killed and looked into. A context manager that ends them."""

    def __init__(
        self,
        *,
        bootstrap: str,
        database_url: str,
        prefix: str,
        base_url: str,
        folder: Path,
        settings: Mapping[str, str],
        names: Sequence[str] = SERVICES,
    ) -> None:
        """``folder``: of the logs. ``settings``: over those of the sandbox. ``names``: of the services."""
        self.bootstrap, self.database_url, self.prefix, self.folder = bootstrap, database_url, prefix, folder
        self.codec = codec_for(None)
        create_topics(bootstrap, prefix)
        properties = folder / "kafka.properties"
        properties.write_text(_QUICK_TAKEOVER)
        environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            **fast_loops(base_url),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "DATABASE_URL": database_url,
            "TOPIC_PREFIX": prefix,
            "KAFKA_PROPERTIES_FILE": str(properties),
            **settings,
        }
        taken: set[int] = set()
        self.services: dict[str, Service] = {}
        for name in names:
            taken.add(port := free_port(taken))
            self.services[name] = Service(name, port, environ, folder / f"{name}.log")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for service in self.services.values():
            service.stop()

    def start(self, *names: str) -> None:
        """Start these services, or all."""
        for name in names or self.services:
            self.services[name].start()

    def kill(self, name: str) -> None:
        """kill -9, and start it again."""
        self.services[name].kill()
        self.services[name].start()

    def raw_events(self) -> list[RawMailgunEvent]:
        """What is in the raw topic, committed."""
        decoded = (self.codec.decode(record.value) for record in self.records(topics.RAW))
        return [each for each in decoded if isinstance(each, RawMailgunEvent)]

    def email_events(self) -> list[EmailEvent]:
        """What is in email.events, committed."""
        decoded = (self.codec.decode(record.value) for record in self.records(topics.EMAIL_EVENTS))
        return [each for each in decoded if isinstance(each, EmailEvent)]

    def records(self, topic: str) -> list[Record]:
        """The committed records of one of this river's topics."""
        return read_committed(self.bootstrap, topics.prefixed(self.prefix, topic))

    def compare(self, truth: Mapping[str, Rows]) -> Comparison:
        """Every table against the truth."""
        with psycopg.connect(self.database_url) as connection:
            return compare(connection, truth)

    def wait_for(self, newsletter: Newsletter, *, seconds: float) -> Comparison:
        """Wait until every row agrees with the truth; on failure say how they differ and what the services said."""
        truth = newsletters.expected_tables(newsletter)
        last: list[Comparison] = []

        def agrees() -> bool:
            last[:] = [self.compare(truth)]
            return last[0].agrees

        try:
            wait_until(agrees, seconds=seconds, what="every row agrees with the ground truth", every=0.5)
        except AssertionError as error:
            said = "\n".join(service.tail() for service in self.services.values())
            raise AssertionError(f"{error}\n{last[0].examples}\n{said}") from None
        return last[0]

    def more_often_than_fetched(self) -> dict[Identity, tuple[int, int]]:
        """The events that a reader of email.events sees more often than the fetcher published them: must be none."""
        # In this order: what flows meanwhile is in the raw topic before it is in email.events.
        emitted = Counter((event.event_id, event.occurred_at) for event in self.email_events())
        published = Counter((raw.event_id, raw.occurred_at) for raw in self.raw_events())
        return {
            identity: (times, published[identity]) for identity, times in emitted.items() if times > published[identity]
        }


class NewRiver(Protocol):
    """Makes a river on the test's broker, database and topics; not started."""

    def __call__(self, base_url: str, **settings: str) -> River:
        """``base_url``: the simulator's. ``settings``: over those of the sandbox."""
