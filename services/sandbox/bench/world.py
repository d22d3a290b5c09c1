"""Where everything is measured: one Kafka, one Postgres, and for each measurement topics and a database of its own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Event

from services.contracts import topics
from services.runtime import resources, topics_admin
from services.runtime.bus.api import Outgoing
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client
from services.runtime.clock import Clock, Deadline
from services.runtime.codecs import codec_for
from services.runtime.errors import Fatal
from services.sandbox import databases
from services.sandbox.bench.bare_kafka import Publisher
from services.sandbox.bench.load import Load, load_of, newsletter_of
from services.sandbox.demo import fast_loops
from services.sandbox.ports import free_port
from services.sandbox.scrape import is_ready
from services.sandbox.stack import Servers, Service

PARTITIONS = next(spec.partitions for spec in resources.topic_specs() if spec.name == topics.RAW)
_TEMPLATE = "bench_template"
_NOWHERE = "http://127.0.0.1:1"
_READY_SECONDS = 60.0


class World:
    """Makes what a measurement needs, and waits for it. Not to be shared between threads."""

    def __init__(
        self,
        folder: Path,
        servers: Servers,
        environ: Mapping[str, str],
        *,
        clock: Clock,
        stop: Event,
        events: int,
        runs: int,
        large: bool,
    ) -> None:
        """``folder``: of the services' logs. ``environ``: what services are started with besides their settings.

        ``events``: of a backlog, about. ``runs``: how often each measurement is made. ``large``: whether ten million
        rows are wanted.
        """
        self.kafka = KafkaConfig(servers.bootstrap)
        self.codec = codec_for(None)
        self.events, self.runs, self.large, self.clock = events, runs, large, clock
        self._folder, self._servers, self._environ, self._stop = folder, servers, environ, stop
        self._names = 0

    @cached_property
    def load(self) -> Load:
        """The backlog; made when it is first needed, for some seconds."""
        now = self.clock.now()
        newsletter = newsletter_of(self.events, now)
        dsn = databases.create_database(self._servers.database_url, _TEMPLATE, template="mailriver")
        load = load_of(newsletter, dsn, self.codec, now)
        # A million objects that stay: the collector would walk through them within what is timed.
        gc.collect()
        gc.freeze()
        return load

    def prepare(self) -> None:
        """Make the backlog now. Blocks for some seconds the first time."""
        self.load  # noqa: B018 - makes it

    @contextmanager
    def database(self) -> Iterator[str]:
        """A database that holds the newsletter's rows, and no event yet; dropped at the end."""
        self.prepare()
        name = f"bench_{self.name()}"
        yield databases.create_database(self._servers.database_url, name, template=_TEMPLATE)
        databases.drop_database(self._servers.database_url, name)

    def empty_database(self) -> str:
        """A migrated database without rows."""
        return databases.create_database(self._servers.database_url, f"bench_{self.name()}", template="mailriver")

    def prefix(self, *, backlog: bool) -> str:
        """The prefix of new topics, with the backlog in the raw one if wanted. Blocks."""
        prefix = f"{self.name()}."
        topics_admin.create(admin_client(self.kafka), resources.topic_specs(), prefix)
        if backlog:
            raw = topics.prefixed(prefix, topics.RAW)
            Publisher(self.kafka).publish(Outgoing(raw, each.key, each.value) for each in self.load.raw)
        return prefix

    @contextmanager
    def services(
        self, prefix: str, dsn: str, *names: str, base_url: str = _NOWHERE, **settings: str
    ) -> Iterator[dict[str, Service]]:
        """Services as processes; ended at the end. ``settings``: over those of the sandbox."""
        environ = {
            **self._environ,
            **fast_loops(base_url),
            "KAFKA_BOOTSTRAP_SERVERS": self._servers.bootstrap,
            "DATABASE_URL": dsn,
            "TOPIC_PREFIX": prefix,
            "LOG_LEVEL": "WARNING",
            **settings,
        }
        taken: set[int] = set()
        services: dict[str, Service] = {}
        try:
            for name in names:
                taken.add(port := free_port(taken))
                services[name] = Service(name, port, environ, self._folder / f"{prefix}{name}.log")
                services[name].start()
            yield services
        finally:
            for service in services.values():
                service.stop()

    def follow(
        self, count: Callable[[], int], total: int, services: Iterable[Service], *, every: float, seconds: float = 600.0
    ) -> Iterator[tuple[float, int]]:
        """The count at instants (of the monotonic clock), until it has reached ``total``. Blocks.

        Raises:
            Fatal: it does not get there in ``seconds``, a service has ended, or the user wants an end.

        """
        deadline = Deadline(self.clock, seconds)
        while True:
            done = count()
            yield self.clock.monotonic(), done
            if done >= total:
                return
            for service in services:
                if not service.running:
                    raise Fatal(service.tail())
            if deadline.passed:
                raise Fatal(f"only {done} of {total} were done in {seconds:g} s")
            self.go_on(every)

    def go_on(self, seconds: float = 0.0) -> None:
        """Wait so long; raises Fatal if the user wants an end."""
        if self._stop.wait(seconds):
            raise Fatal("stopped")

    def await_ready(self, service: Service) -> None:
        """Wait until a service says that it is ready. Blocks; raises Fatal like :meth:`follow`."""
        for _ in self.follow(lambda: int(is_ready(service.port)), 1, (service,), every=0.1, seconds=_READY_SECONDS):
            pass

    def name(self) -> str:
        """A name that nothing else here has."""
        self._names += 1
        return f"b{self._names}"
