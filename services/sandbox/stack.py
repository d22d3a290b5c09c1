"""Servers and services side by side on one machine: what `mailriver demo` and `mailriver up` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from services.runtime import resources, topics_admin
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client
from services.runtime.clock import Clock, SystemClock
from services.runtime.errors import Fatal
from services.runtime.settings import KafkaSettings, load
from services.sandbox.folders import cache_root
from services.sandbox.kafka import EmbeddedKafka
from services.sandbox.maven import KAFKA_POM, resolve
from services.sandbox.postgres import EmbeddedPostgres
from services.sandbox.processes import Launch, ServerProcess
from services.storage.adapters.migrations import migrate

SERVICES = ("storage", "processor", "fetcher")
"""The river, in the order of its start: who reads comes before who writes."""
CONSOLE = "console"
QUICK_SECONDS = 10.0
MOST_QUICK_ENDS = 3
_STOP_SECONDS = 30.0
_SYSTEM_CLOCK = SystemClock()

Say = Callable[[str], None]


class Servers(msgspec.Struct, frozen=True):
    """Where Kafka and Postgres are, embedded ones or those that the environment names."""

    bootstrap: str
    database_url: str


class Service:
    """One service as a child process."""

    def __init__(
        self, name: str, port: int, environ: Mapping[str, str], log: Path, *, clock: Clock = _SYSTEM_CLOCK
    ) -> None:
        """``port``: of its probes and metrics. ``environ``: all of its environment but the port."""
        self.name, self.port, self.log = name, port, log
        self._environ = {**environ, "HTTP_PORT": str(port)}
        self._clock = clock
        self._process: ServerProcess | None = None
        self._started_at = 0.0
        self._quick_ends = 0

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.running

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs, or before it was started."""
        return self._process.exit_code if self._process is not None else None

    @property
    def pid(self) -> int:
        """The id of its process. Raises Fatal if it was never started."""
        if self._process is None:
            raise Fatal(f"{self.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it; it gets ready by itself."""
        command = [sys.executable, "-m", "services", "run", self.name]
        launch = Launch(name=self.name, command=command, log=self.log, environ=self._environ)
        self._started_at = self._clock.monotonic()
        self._process = ServerProcess(launch, self._clock)

    def revive(self) -> bool:
        """Start it again if it has died; whether it had. To be asked every second or so.

        Raises:
            Fatal: it has died three times in a row within 10 s of its start, so that another one would not help
                either; with the last lines of its log.

        """
        if self._process is None or self._process.running:
            return False
        is_quick = self._clock.monotonic() - self._started_at < QUICK_SECONDS
        self._quick_ends = self._quick_ends + 1 if is_quick else 0
        if self._quick_ends == MOST_QUICK_ENDS:
            what = f"ended {MOST_QUICK_ENDS} times in a row within {QUICK_SECONDS:g} s of its start"
            raise Fatal(self._process.failure(what))
        self.start()
        return True

    def stop(self) -> None:
        """End it as Kubernetes does (SIGTERM), by force after 30 s."""
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()

    def tail(self) -> str:
        """The last lines of its log, with what it is about."""
        return self._process.failure("said last") if self._process is not None else f"{self.name} was not started"


class Stack:
    """Starts servers and services, and ends all that it started. A context manager."""

    def __init__(self, data: Path, environ: Mapping[str, str], say: Say) -> None:
        """``data``: where the servers keep theirs. ``say``: told each step in a line."""
        self.data, self._environ, self._say = data, environ, say
        self._exit = ExitStack()
        self.services: dict[str, Service] = {}

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor() as pool:
            for service in self.services.values():
                pool.submit(service.stop)
        self._exit.close()

    def start_servers(self) -> Servers:
        """Kafka and Postgres, side by side, with topics and tables. Blocks for some seconds.

        Raises:
            Fatal: something is missing on this machine, or does not start.

        """
        with ThreadPoolExecutor() as pool:
            kafka, postgres = pool.submit(self._kafka), pool.submit(self._postgres)
            servers = Servers(kafka.result(), postgres.result())
        settings = load(KafkaSettings, {**self._environ, "KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap})
        admin = admin_client(KafkaConfig.of(settings))
        for difference in topics_admin.create(admin, resources.topic_specs(), settings.topic_prefix).differences:
            self._say(difference)
        migrate(servers.database_url, report=lambda _name: None)
        return servers

    def _kafka(self) -> str:
        if given := self._environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            self._say(f"Kafka: the one at {given}")
            return given
        libs = resolve(KAFKA_POM, cache_root(self._environ), self._environ)
        server = self._exit.enter_context(EmbeddedKafka(self.data / "kafka", libs=libs))
        self._say(f"Kafka: embedded, {server.bootstrap}")
        return server.bootstrap

    def _postgres(self) -> str:
        if given := self._environ.get("DATABASE_URL"):
            self._say("Postgres: the one of DATABASE_URL")
            return given
        server = self._exit.enter_context(EmbeddedPostgres(self.data / "postgres"))
        self._say("Postgres: embedded" + (f"; {server.note}" if server.note else ""))
        return server.dsn

    def start_services(self, environ: Mapping[str, str], ports: Mapping[str, int]) -> None:
        """Those services that have a port here, as child processes.

        ``environ``: their settings, over the stack's own environment.
        """
        logs = self.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        for name in (each for each in (*SERVICES, CONSOLE) if each in ports):
            service = Service(name, ports[name], {**self._environ, **environ}, logs / f"{name}.log")
            self.services[name] = service
            service.start()

    def revive(self) -> list[str]:
        """Start the services again that have died; their names. Raises Fatal as :meth:`Service.revive` does."""
        return [service.name for service in self.services.values() if service.revive()]
