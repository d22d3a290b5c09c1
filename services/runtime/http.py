"""The HTTP side of a service without an API: three probes and the metrics, in a thread of its own."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app
from typing_extensions import override

from services.runtime.errors import Fatal
from services.runtime.health import Health

StartResponse = Callable[..., Any]
Environ = dict[str, Any]

_CLOSE_SECONDS = 0.1
"""How often the server looks whether it is to end."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


def _server_class(host: str, port: int) -> type[_Server]:
    """The server for the host's family of addresses: IPv4 or IPv6."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return type("Server", (_Server,), {"address_family": family})


class _Quiet(WSGIRequestHandler):
    timeout = 10

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """A probe every few seconds is nothing to log."""


PROBES = ("/livez", "/readyz", "/startupz")


def probe(health: Health, path: str) -> tuple[HTTPStatus, bytes]:
    """What the probe of this path answers: its status, and the JSON that names the failing parts."""
    checks = dict(zip(PROBES, (health.live, health.ready, health.startup), strict=True))
    check = checks.get(path)
    faults = check() if check else {"path": "there is /livez, /readyz, /startupz and /metrics"}
    failing = HTTPStatus.SERVICE_UNAVAILABLE if check else HTTPStatus.NOT_FOUND
    return failing if faults else HTTPStatus.OK, json.dumps({"ok": not faults, "faults": faults}).encode()


def cannot_listen(host: str, port: int, error: OSError) -> Fatal:
    """The port is in use, or the host is none of this machine's."""
    # Not the error's own text: asyncio adds the address to it, which is told already.
    why = error.strerror if error.errno is None else os.strerror(error.errno)
    return Fatal(f"HTTP_PORT: cannot listen on {host}:{port}: {why}; choose another, or 0")


def probes(health: Health, registry: CollectorRegistry) -> Callable[[Environ, StartResponse], Iterable[bytes]]:
    """The WSGI application: /livez, /readyz, /startupz and /metrics. Anything else is 404."""
    metrics = make_wsgi_app(registry)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)  # type: ignore[no-any-return]  # the library does not say
        status, body = probe(health, path)
        reason = f"{status.value} {status.phrase}"
        start_response(reason, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return application


class ProbeServer:
    """Serves the probes until it is closed."""

    def __init__(self, host: str, port: int, health: Health, registry: CollectorRegistry) -> None:
        """Listen on ``host`` and ``port`` (0: any that is free).

        Raises:
            Fatal: the port is in use, or the host is none of this machine's.

        """
        try:
            self._server = make_server(host, port, probes(health, registry), _server_class(host, port), _Quiet)
        except OSError as error:
            raise cannot_listen(host, port, error) from None
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_CLOSE_SECONDS,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Blocks for a tenth of a second or so."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1.0)
