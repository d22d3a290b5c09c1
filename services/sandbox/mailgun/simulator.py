"""The simulator: the service on a socket, in a thread of this process or blocking in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread
from typing import Self

from services.sandbox.mailgun import answers, control
from services.sandbox.mailgun.answers import Answer
from services.sandbox.mailgun.events import SimulatedEvent
from services.sandbox.mailgun.scenario import Scenario
from services.sandbox.mailgun.server import SimulatorServer
from services.sandbox.mailgun.service import EventsService, Request, Stats, TruthRecord

Identity = tuple[str, str, float]
"""Domain, id and timestamp of an event: an id alone is unique only within a day."""


class MailgunSimulator:
    """Mailgun's Events API on ``host`` and ``port`` (0: a free one). A context manager that starts and stops it."""

    def __init__(
        self, scenario: Scenario, *, clock: Callable[[], float], host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Make it; it listens from ``start`` on. ``clock``: seconds since 1970 UTC; decides what is visible."""
        self._service = EventsService(scenario, clock=clock)
        self._address = (host, port)
        self._server: SimulatorServer | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Listen and serve in a thread.

        Raises:
            OSError: the port is taken.

        """
        server = SimulatorServer(self._address, self._respond)
        self._address = (self._address[0], server.server_address[1])
        self._server = server
        self._thread = Thread(target=server.serve_forever, args=(0.05,), name="mailgun-simulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections and the thread; harmless when it is not running. Started again, it has the same port."""
        if self._server is None or self._thread is None:
            return
        self._server.close()
        self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where it listens; the port is known once it has been started."""
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def scenario(self) -> Scenario:
        """The one in force; setting another begins its windows anew."""
        return self._service.scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self._service.scenario = scenario

    def add(self, domain: str, events: Iterable[SimulatedEvent]) -> int:
        """Put events in; how many. From any thread, cheap in bulk."""
        return self._service.add(domain, events)

    def stats(self) -> Stats:
        """The counts so far."""
        return self._service.stats()

    def truth(self) -> Iterator[TruthRecord]:
        """Every event that was added until now, and what became of it."""
        return self._service.truth()

    def shown(self) -> set[Identity]:
        """The events that were visible by now, asked for or not."""
        return {(record.domain, record.id, record.timestamp) for record in self.truth() if record.visible}

    def served(self) -> set[Identity]:
        """The events that complete pages have shown."""
        return {(record.domain, record.id, record.timestamp) for record in self.truth() if record.served}

    def _respond(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer | control.Stream:
        if request.path.startswith(control.PREFIX):
            return control.respond(self._service, request.command, request.path, body)
        if request.command != "GET":
            return answers.message(405, "Method Not Allowed")
        headers = request.headers
        host = headers.get("Host") or self.base_url.removeprefix("http://")
        return self._service.respond(Request(request.path, host, headers.get("Authorization")))


def serve(
    scenario: Scenario,
    *,
    clock: Callable[[], float],
    stop: Event,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[MailgunSimulator], None] | None = None,
) -> None:
    """Run a simulator until ``stop`` is set; ``ready`` is told when it listens. Blocks.

    Raises:
        OSError: the port is taken.

    """
    with MailgunSimulator(scenario, clock=clock, host=host, port=port) as simulator:
        if ready is not None:
            ready(simulator)
        stop.wait()
