"""The console as a process: its parts put together, and served until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from services.console import web
from services.console.adapters.commands import commands_of
from services.console.adapters.consumers import Consumers, ConsumersSource, ServicesSource
from services.console.adapters.dead_letters import DeadLettersSource
from services.console.adapters.emails import EmailsSource
from services.console.adapters.fetch_topics import WORKER as STATES
from services.console.adapters.fetch_topics import FetchTopics, fetch_topics_of
from services.console.adapters.live import DeadLettersLive, EmailsLive
from services.console.adapters.replays import Replays
from services.console.api import auth, consumers, dead_letters, emails, loops, page, probes, schedules, stream
from services.console.api.answers import refusal
from services.console.api.middleware import BodyLimit, Surroundings, TooLarge, too_large
from services.console.api.stream import Greeting, Hub, Source
from services.console.core.requests import BadRequest
from services.console.metrics import ConsoleMetrics
from services.console.settings import ConsoleSettings
from services.contracts.codec import Codec
from services.runtime import lifecycle, logs
from services.runtime.asgi import AsgiServer
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.follower import Follower
from services.runtime.bus.groups import Groups
from services.runtime.errors import Fatal, Transient
from services.runtime.lifecycle import Chassis

WEB = "web"
WORKERS = (WEB, STATES)
DEPENDENCIES = ("kafka", "database")
_STEP_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_BEAT_SECONDS = 1.0
_log = logs.get("console")


class ConsoleApp:
    """The process's side of the console: the server and the followers have threads of their own."""

    def __init__(self, parts: Parts, server: AsgiServer, chassis: Chassis) -> None:
        self.parts, self._server, self._chassis = parts, server, chassis
        self._looked = -_LOOK_SECONDS

    def step(self) -> None:
        """Wait half a second. Raises Fatal if the server has ended by itself."""
        if not self._server.running:
            raise Fatal("the console's server has ended; the log tells why")
        self._chassis.stop.wait(_STEP_SECONDS)
        # Readiness tells of real uses; with nobody at the page there would be none.
        if self._chassis.clock.monotonic() - self._looked >= _LOOK_SECONDS:
            with contextlib.suppress(Transient):
                self.parts.emails_live.snapshot()
            self._looked = self._chassis.clock.monotonic()

    def close(self) -> None:
        """End the streams, and let go of Kafka."""
        self.parts.hub.close()
        self.parts.fetch_topics.close()
        self.parts.commands.close()
        self.parts.consumers.close()
        self.parts.dead_letters.close()
        self.parts.emails.close()


class Parts:
    """What the routes are made of."""

    def __init__(self, settings: ConsoleSettings, codec: Codec, chassis: Chassis) -> None:
        """Asks nobody yet."""
        kafka, prefix, clock, health = KafkaConfig.of(settings), settings.topic_prefix, chassis.clock, chassis.health
        self.metrics = ConsoleMetrics(chassis.registry)
        self.fetch_topics = FetchTopics(
            lambda on_error: Follower(kafka, fetch_topics_of(prefix), on_error=on_error),
            codec,
            prefix,
            health=health,
            clock=clock,
            random=chassis.random,
        )
        self.commands = commands_of(kafka, codec, prefix, clock)
        self.consumers = Consumers(Groups(kafka, clock=clock, on_error=lambda _name, _text: None), prefix, clock)
        self.emails = EmailsSource(settings.database_url.get_secret_value())
        self.dead_letters = DeadLettersSource(kafka, codec, prefix, clock=clock)
        self.replays = Replays(kafka, codec, prefix, clock=clock, registry=chassis.registry)
        self.emails_live = EmailsLive(self.emails, health)
        self.sources: list[Source] = [
            self.emails_live,
            ConsumersSource(self.consumers),
            ServicesSource(self.consumers),
            DeadLettersLive(self.dead_letters),
        ]
        self.hub = Hub(
            self.fetch_topics,
            self.sources,
            Greeting(settings.mailgun_retention_hours, settings.mailgun_domains),
            metrics=self.metrics,
            clock=clock,
        )
        token = settings.console_token
        self.sessions = None if token is None else auth.Sessions(token.get_secret_value(), clock)
        self.orders = schedules.Orders(
            self.commands,
            self.fetch_topics,
            settings.mailgun_domains,
            settings.mailgun_retention_hours,
            clock,
            self.metrics,
        )

    def routes(self, chassis: Chassis) -> list[BaseRoute]:
        """All that is served."""
        return [
            *probes.routes(chassis.health, chassis.registry),
            *auth.routes(self.sessions, lambda _request, wrong: web.login(wrong), chassis.clock, self.metrics),
            *loops.routes(self.fetch_topics),
            *schedules.routes(self.orders),
            *consumers.routes(self.consumers),
            *emails.routes(self.emails),
            *dead_letters.routes(self.dead_letters, self.replays),
            *stream.routes(self.hub, self.metrics),
            *page.routes(),
        ]


def asgi(parts: Parts, chassis: Chassis) -> ASGIApp:
    """The application, with all that surrounds its routes."""
    routes = parts.routes(chassis)
    app = Starlette(
        routes=routes,
        lifespan=lambda _app: _alive(parts.hub, chassis),
        exception_handlers={
            BadRequest: lambda _request, error: refusal(422, str(error)),
            TooLarge: lambda _request, _error: too_large(),
            HTTPException: _refused,
            ClientDisconnect: lambda _request, _error: refusal(400, "the body ended early"),
            Transient: lambda _request, error: refusal(503, f"{error}; try again"),
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    names: dict[object, str] = {route.endpoint: route.path for route in routes if isinstance(route, Route)}
    parts.metrics.expect(names.values())
    return Surroundings(auth.Guard(BodyLimit(app), parts.sessions, parts.metrics), parts.metrics, chassis.clock, names)


@asynccontextmanager
async def _alive(hub: Hub, chassis: Chassis) -> AsyncIterator[None]:
    """As long as the server runs: serve the streams, and show that the event loop is not stuck."""

    async def beat() -> None:
        chassis.health.started(WEB)
        while True:
            chassis.health.stepped(WEB)
            await asyncio.sleep(_BEAT_SECONDS)

    tasks = [asyncio.create_task(beat()), asyncio.create_task(hub.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _refused(_request: Request, error: Exception) -> Response:
    """What Starlette refuses (no such path, wrong method), in our shape."""
    if not isinstance(error, HTTPException):
        raise error
    answer = refusal(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _failed(request: Request, _error: Exception) -> Response:
    _log.exception("request_failed", method=request.method, path=request.url.path[:200])
    return refusal(500, "a fault of the console's; its log tells")


def build(settings: ConsoleSettings, codec: Codec, chassis: Chassis, server: AsgiServer) -> ConsoleApp:
    """The console, serving at ``server``, which has its port already."""
    parts = Parts(settings, codec, chassis)
    server.start(asgi(parts, chassis))
    parts.fetch_topics.start()
    return ConsoleApp(parts, server, chassis)


def run(settings: ConsoleSettings, codec: Codec) -> int:
    """Run the console until it is told to stop; its exit code. Blocks."""
    server = AsgiServer(settings.http_host, settings.http_port)
    return lifecycle.run(
        "console",
        settings,
        lambda chassis: build(settings, codec, chassis, server),
        dependencies=DEPENDENCIES,
        workers=WORKERS,
        listen=server.listen,
    )
