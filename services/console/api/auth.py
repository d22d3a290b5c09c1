"""Who may ask: the token or the cookie that /login gives for it, and where a request comes from."""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from services.console.api.answers import refusal
from services.console.api.probes import OPEN_PATHS
from services.console.core.origin import is_local, is_local_origin, is_same_origin
from services.console.metrics import ConsoleMetrics
from services.runtime.clock import Clock

COOKIE = "mailriver_session"
SESSION_SECONDS = 12 * 3600
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ATTEMPTS, _ATTEMPT_SECONDS = 10, 60.0

LoginForm = Callable[[Request, str | None], str]
"""The page of /login: given the request and what was wrong, if anything was."""


class Sessions:
    """Judges tokens and cookies, in constant time, and makes cookies."""

    def __init__(self, token: str, clock: Clock) -> None:
        self._token = _digest(token)
        self._signer = _Signer(token, clock)

    def is_token(self, text: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(_digest(text), self._token)

    def cookie(self) -> str:
        """A new session, for twelve hours."""
        return self._signer.sign(b"session").decode()

    def is_cookie(self, text: str) -> bool:
        """Whether this is a session of ours that has not expired."""
        try:
            self._signer.unsign(text, max_age=SESSION_SECONDS)
        except BadSignature:  # expired ones too
            return False
        return True


class _Signer(TimestampSigner):
    def __init__(self, token: str, clock: Clock) -> None:
        # itsdangerous derives the signing key from the token and the salt: another token ends every session.
        super().__init__(token, salt="mailriver.console.session", key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    @override
    def get_timestamp(self) -> int:
        return int(self._clock.now())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


class Guard:
    """Lets a request through to the application, or refuses it. Probes and metrics always pass."""

    def __init__(self, app: ASGIApp, sessions: Sessions | None, metrics: ConsoleMetrics) -> None:
        """``sessions``: None where no token is set; then only this machine may ask."""
        self._app, self._sessions, self._metrics = app, sessions, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        answer = self._refusal(scope) if scope["type"] == "http" and scope["path"] not in OPEN_PATHS else None
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        request = Request(scope)
        if answer := self._refused_by_origin(request):
            return answer
        if self._sessions is None or is_public(request.url.path) or _has_access(request, self._sessions):
            return None
        if (
            request.method in _SAFE
            and not request.url.path.startswith("/api/")
            and "authorization" not in request.headers
        ):
            return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        self._metrics.refused["token"].inc()
        answer = refusal(401, "give the CONSOLE_TOKEN: `Authorization: Bearer <token>`, or log in at /login")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _refused_by_origin(self, request: Request) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if self._sessions is None:
            if not is_local(host):
                self._metrics.refused["host"].inc()
                return refusal(403, "Host: without CONSOLE_TOKEN this console answers to localhost and 127.0.0.1 only")
            foreign = origin is not None and not is_local_origin(origin)
        else:
            foreign = origin is not None and request.method not in _SAFE and not is_same_origin(origin, host)
        if not foreign:
            return None
        self._metrics.refused["origin"].inc()
        return refusal(403, "Origin: a page of another host may not ask this")


def is_public(path: str) -> bool:
    """Whether a path is served without a token: the login form and what it is drawn with."""
    return path in {"/login", "/logout"} or path.startswith("/static/")


def _has_access(request: Request, sessions: Sessions) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        return scheme.lower() == "bearer" and sessions.is_token(token.strip())
    return sessions.is_cookie(request.cookies.get(COOKIE, ""))


def routes(sessions: Sessions | None, form: LoginForm, clock: Clock, metrics: ConsoleMetrics) -> list[Route]:
    """``/login`` and ``/logout``; without a token there is nothing to log in to, and both lead to the page."""
    failures: deque[float] = deque(maxlen=_ATTEMPTS)

    async def show(request: Request) -> Response:
        return RedirectResponse("/", HTTPStatus.SEE_OTHER) if sessions is None else HTMLResponse(form(request, None))

    async def login(request: Request) -> Response:
        if sessions is None:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        now = clock.monotonic()
        if len(failures) == _ATTEMPTS and now - failures[0] < _ATTEMPT_SECONDS:
            metrics.refused["login"].inc()
            text = form(request, "Too many attempts; wait a minute.")
            return HTMLResponse(text, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(int(_ATTEMPT_SECONDS))})
        token = (await request.form(max_files=0, max_fields=10)).get("token")
        if not isinstance(token, str) or not sessions.is_token(token.strip()):
            failures.append(now)
            metrics.refused["login"].inc()
            return HTMLResponse(form(request, "This is not the token."), HTTPStatus.UNAUTHORIZED)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            sessions.cookie(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=_is_https(request.scope),
        )
        return answer

    async def logout(request: Request) -> Response:
        answer = RedirectResponse("/" if sessions is None else "/login", HTTPStatus.SEE_OTHER)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_https(request.scope))
        return answer

    return [
        Route("/login", show),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


def _is_https(scope: Scope) -> bool:
    """Whether the browser came by https. What a proxy says is believed: it only makes the cookie stricter."""
    proto = Headers(scope=scope).get("x-forwarded-proto", "").split(",")[0].strip()
    return bool(scope["scheme"] == "https" or proto == "https")
