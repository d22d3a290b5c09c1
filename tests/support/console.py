"""A console inside the test's process: the real server on a port of its own, over a real Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from threading import Event
from typing import Any, Self, TypeVar

import httpx
from prometheus_client import CollectorRegistry

from services.console.app import DEPENDENCIES, WORKERS, ConsoleApp, build
from services.console.settings import ConsoleSettings
from services.contracts import topics
from services.contracts.events import FetchState
from services.runtime.asgi import AsgiServer
from services.runtime.bus.api import Outgoing
from services.runtime.clock import SystemClock
from services.runtime.codecs import codec_for
from services.runtime.health import Health
from services.runtime.lifecycle import Chassis
from services.runtime.settings import load
from tests.support.apps import publish
from tests.support.waiting import wait_until

DOMAIN = "mg.example.com"
T = TypeVar("T")


class RunningConsole:
    """A context manager that ends it."""

    def __init__(
        self, bootstrap: str, prefix: str, settings: Mapping[str, str] | None = None, database_url: str | None = None
    ) -> None:
        """``settings``: by their names in the environment."""
        self.bootstrap, self.prefix = bootstrap, prefix
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TOPIC_PREFIX": prefix,
            "MAILGUN_DOMAINS": f"{DOMAIN},news.example.com",
            "DATABASE_URL": database_url or "postgresql://127.0.0.1:1/none",
            **(settings or {}),
        }
        clock = SystemClock()
        self.registry, self._stop = CollectorRegistry(), Event()
        self.health = Health(clock, dependencies=DEPENDENCIES, workers=WORKERS, on_demand=("database",))
        chassis = Chassis("console", "test", clock, Random(1).random, self.registry, self.health, self._stop)
        self.server = AsgiServer("127.0.0.1", 0).listen()
        self.app: ConsoleApp = build(load(ConsoleSettings, environ), codec_for(None), chassis, self.server)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.http.close()
        self.app.close()
        self.server.close()

    def await_ready(self) -> Self:
        """Wait until it has read both topics."""
        wait_until(lambda: not self.health.ready(), seconds=30, what="the console is ready")
        return self

    def get(self, path: str) -> Any:
        """The JSON at a path; the answer has to be 200."""
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, path: str, condition: Callable[[Any], T], what: str) -> T:
        """Ask again and again until the JSON is as wanted; what the condition said then."""
        return wait_until(lambda: condition(self.get(path)), seconds=30, what=what)

    def counted(self, name: str, **labels: str) -> float:
        """The value of a series."""
        return self.registry.get_sample_value(name, labels) or 0.0


def loop_state(loop: str = "latest", domain: str = DOMAIN, **fields: Any) -> FetchState:
    """A loop's state, with these fields."""
    known: dict[str, Any] = {"state": "idle", "begin": 1_000_000, "boundary_ids": [], "updated_at": 2_000_000}
    return FetchState(domain=domain, loop=loop, **(known | fields))


def schedule_state(schedule_id: str, domain: str = DOMAIN, **fields: Any) -> FetchState:
    """A scheduled fetch's state, with these fields."""
    known: dict[str, Any] = {"range_begin": 1_000_000, "range_end": 11_000_000, "state": "running"}
    return loop_state("scheduled", domain, schedule_id=schedule_id, **(known | fields))


def write_states(bootstrap: str, prefix: str, states: Iterable[FetchState]) -> None:
    """Write states to their topic, as a fetcher does but without a transaction."""
    codec, topic = codec_for(None), topics.prefixed(prefix, topics.FETCH_STATE)
    publish(
        bootstrap,
        (Outgoing(topic, state_key(state), codec.encode(topics.FETCH_STATE, state)) for state in states),
    )


def state_key(state: FetchState) -> bytes:
    """The key of a state's record."""
    return f"{state.domain}/{state.schedule_id or state.loop}".encode()
