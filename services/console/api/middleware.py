"""What surrounds every answer: headers, a bound on bodies, the counting."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.api.answers import refusal
from services.console.metrics import OTHER, ConsoleMetrics
from services.runtime.clock import Clock

BODY_BYTES = 64 * 1024
STREAM = "/api/stream"
_SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Surroundings:
    """The outermost layer: gives every answer the headers of security, and counts it."""

    def __init__(self, app: ASGIApp, metrics: ConsoleMetrics, clock: Clock, names: Mapping[object, str]) -> None:
        """``names``: of the endpoints, as the metrics call them."""
        self._app, self._metrics, self._clock, self._names = app, metrics, clock, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = self._clock.monotonic(), 500

        async def surrounded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, surrounded)
        finally:
            name = self._names.get(scope.get("endpoint"), OTHER)
            self._metrics.answered(name, status)
            if name != STREAM:
                self._metrics.seconds.observe(self._clock.monotonic() - began)


class TooLarge(Exception):
    """The body is larger than anybody may send."""


class BodyLimit:
    """Refuses bodies beyond 64 KiB with 413, without keeping what came of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Whoever reads on beyond the bound gets :class:`TooLarge`, to be answered like the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared(scope) > BODY_BYTES:
            await too_large()(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES:
                raise TooLarge
            return message

        await self._app(scope, bounded, send)


def too_large() -> Response:
    """The answer to a body that is too large."""
    return refusal(413, f"the body is larger than {BODY_BYTES} bytes")


def _declared(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "0")
    return int(text) if text.isdigit() else 0
