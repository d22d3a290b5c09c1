"""The HTTP side of a service with an API: uvicorn in a thread of its own, on a port that is open before it starts."""

from __future__ import annotations

import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from services.runtime.http import cannot_listen

_GRACE_SECONDS = 3
"""For the answers under way when the server is closed."""
_JOIN_SECONDS = 8.0
_CONNECTIONS = 500
"""At once, and no more: further ones are answered with 503."""


class AsgiServer:
    """Opens the port, and serves an application there once it is built."""

    def __init__(self, host: str, port: int) -> None:
        """``port``: 0 takes any that is free."""
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def listen(self) -> AsgiServer:
        """Open the port; who connects from now on waits until :meth:`start`.

        Raises:
            Fatal: the port is in use, or the host is none of this machine's.

        """
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.create_server((str(address[0]), self._port), family=family, backlog=_CONNECTIONS)
        except OSError as error:
            raise cannot_listen(self._host, self._port, error) from None
        return self

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port if self._socket is None else int(self._socket.getsockname()[1])

    @property
    def running(self) -> bool:
        """Whether it serves; false too once it has failed."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, app: ASGIApp) -> None:
        """Serve ``app`` in a thread of its own. :meth:`listen` comes before it."""
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        sockets = [] if self._socket is None else [self._socket]
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; answers under way have three seconds. Blocks for so long at most, and some more."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_JOIN_SECONDS)
        if self._socket is not None:
            self._socket.close()
