"""``GET /api/stream``: server-sent events, first the whole picture, then what changes.

One task asks every source, once for all readers and only while there are any. A reader that does not keep up is
dropped; it comes back by itself and begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import anyio.to_thread
import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.fetch_topics import FetchTopics
from services.console.api.answers import refusal
from services.console.api.middleware import STREAM
from services.console.core.board import FIRST, Position
from services.console.core.times import iso
from services.console.metrics import ConsoleMetrics
from services.runtime import logs
from services.runtime.clock import Clock, micros
from services.runtime.deadletter import VERSION
from services.runtime.errors import MailriverError

TICK_SECONDS = 1.0
PING_SECONDS = 5.0
MOST_STREAMS = 100
_QUEUED_EVENTS = 100
_SEND_SECONDS = 15.0
_PAGE_ROWS = 1_000
_log = logs.get("console")


class Source(Protocol):
    """Something that the page shows live."""

    @property
    def name(self) -> str:
        """Of its events."""

    @property
    def every_seconds(self) -> float:
        """How often it is asked, while somebody listens."""

    def snapshot(self) -> Any:
        """What it is now, as JSON can hold it. May block: it is called in a thread.

        Raises:
            MailriverError: it cannot be told at present; readers get ``{"error": ...}`` instead.

        """


class Greeting(msgspec.Struct, frozen=True):
    """What a reader is told first, beside the time."""

    retention_hours: float
    domains: Sequence[str]
    version: str = VERSION


class _Reader:
    """One open stream. None in its queue is its end."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(_QUEUED_EVENTS)

    def give(self, event: ServerSentEvent) -> bool:
        """Whether there was room for it."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True

    def end(self) -> None:
        """Let it end; what it has not taken is lost."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Hub:
    """All open streams. Lives in the server's event loop, :meth:`close` apart."""

    def __init__(
        self,
        fetch_topics: FetchTopics,
        sources: Sequence[Source],
        greeting: Greeting,
        *,
        metrics: ConsoleMetrics,
        clock: Clock,
    ) -> None:
        self._fetch_topics, self._sources, self._greeting = fetch_topics, sources, greeting
        self._metrics, self._clock = metrics, clock
        self._readers: set[_Reader] = set()
        self._known: dict[str, bytes] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted = asyncio.Event()
        self._closed = False
        self._version = 0

    async def run(self) -> None:
        """Serve the readers until cancelled."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            for source in self._sources:
                tasks.create_task(self._watch(source))

    def close(self) -> None:
        """End every stream. From any thread; does not block."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the streams with it
                self._loop.call_soon_threadsafe(self._end_all)

    def _end_all(self) -> None:
        self._closed = True
        for reader in self._readers:
            reader.end()

    @property
    def is_full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return self._closed or len(self._readers) >= MOST_STREAMS

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """The events of one reader, until it is ended or goes."""
        reader = _Reader()
        self._readers.add(reader)
        self._metrics.streams.set(len(self._readers))
        if not self._wanted.is_set():
            self._version = self._fetch_topics.version
            self._wanted.set()
        try:
            yield self._hello()
            version = self._fetch_topics.version
            after: Position | None = FIRST
            while after is not None:
                shown, after = await anyio.to_thread.run_sync(self._page_after, after)
                yield shown
            # What the queue holds may be older than these pages; so what changed since is told once more after it.
            self._tell_changes(reader, version)
            for name, data in list(self._known.items()):
                yield ServerSentEvent(data.decode(), event=name)
            while (event := await reader.queue.get()) is not None:
                yield event
        finally:
            self._forget(reader)

    def _hello(self) -> ServerSentEvent:
        greeting = self._greeting
        return _event(
            "hello",
            {
                "now": iso(micros(self._clock)),
                "version": greeting.version,
                "retention_hours": greeting.retention_hours,
                "domains": greeting.domains,
            },
        )

    def _page_after(self, after: Position) -> tuple[ServerSentEvent, Position | None]:
        page = self._fetch_topics.page(after, _PAGE_ROWS)
        content = {"loops": page.loops, "schedules": page.schedules, "removed": _NOTHING}
        return _event("loops", content), page.next

    def _tell_changes(self, reader: _Reader, since: int) -> None:
        changes = self._fetch_topics.changes(since)
        if changes:
            reader.give(_event("loops", _without_version(changes)))

    def _forget(self, reader: _Reader) -> None:
        self._readers.discard(reader)
        self._metrics.streams.set(len(self._readers))
        if not self._readers:
            self._wanted.clear()
            self._known.clear()

    def _broadcast(self, event: ServerSentEvent) -> None:
        for reader in list(self._readers):
            if not reader.give(event):
                self._metrics.dropped.inc()
                reader.end()

    async def _follow(self) -> None:
        """Tell the changes of loops and schedules, once a second at most."""
        while True:
            await self._wanted.wait()
            changes = self._fetch_topics.changes(self._version)
            self._version = changes.version
            if changes:
                self._broadcast(_event("loops", _without_version(changes)))
            await asyncio.sleep(TICK_SECONDS)

    async def _watch(self, source: Source) -> None:
        """Ask a source again and again, and tell what is new."""
        while True:
            await self._wanted.wait()
            data = await anyio.to_thread.run_sync(self._asked, source)
            if self._readers and self._known.get(source.name) != data:
                self._known[source.name] = data
                self._broadcast(ServerSentEvent(data.decode(), event=source.name))
            await asyncio.sleep(source.every_seconds)

    def _asked(self, source: Source) -> bytes:
        try:
            return msgspec.json.encode(source.snapshot())
        except MailriverError as error:
            return msgspec.json.encode({"error": str(error)})
        except Exception:
            _log.exception("source_failed", source=source.name)
            return msgspec.json.encode({"error": "a fault of the console's; its log tells"})

    def pinged(self) -> ServerSentEvent:
        """A sign of life: a reader without one for some time has lost its connection."""
        return _event("ping", {"now": iso(micros(self._clock)), "known_at": _instant(self._fetch_topics.known_at)})


_NOTHING: dict[str, list[str]] = {"loops": [], "schedules": []}


def _without_version(changes: Any) -> dict[str, Any]:
    return {"loops": changes.loops, "schedules": changes.schedules, "removed": changes.removed}


def _instant(seconds: float | None) -> str | None:
    return iso(None if seconds is None else int(seconds * 1_000_000))


def _event(name: str, content: Any) -> ServerSentEvent:
    return ServerSentEvent(msgspec.json.encode(content).decode(), event=name)


def routes(hub: Hub, metrics: ConsoleMetrics) -> list[Route]:
    """The route."""

    async def stream(_request: Request) -> Response:
        if hub.is_full:
            metrics.refused["streams"].inc()
            answer = refusal(503, f"there are {MOST_STREAMS} streams open already; try again later")
            answer.headers["Retry-After"] = "10"
            return answer
        return EventSourceResponse(
            hub.events(), ping=PING_SECONDS, ping_message_factory=hub.pinged, send_timeout=_SEND_SECONDS
        )

    return [Route(STREAM, stream)]
