"""HTTP/1.1 by hand, as far down as it takes to break off in the middle of a body."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Condition, Event
from typing import Any, TypeAlias

from typing_extensions import override

from services.sandbox.mailgun.answers import Answer, message
from services.sandbox.mailgun.control import Stream

MOST_REQUEST_BYTES = 512 * 1024 * 1024
_GONE = (ConnectionError, TimeoutError)

Respond: TypeAlias = Callable[[BaseHTTPRequestHandler, bytes], Answer | Stream]
"""Given a request with its head read, and its body, says what to answer."""


class SimulatorServer(ThreadingMixIn, TCPServer):
    """A thread for each connection. ``close`` ends them all, in whatever they are."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        self.respond = respond
        self.closing = Event()
        self._connections: set[socket.socket] = set()
        self._changed = Condition()
        super().__init__(address, _Handler)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop serving, and wait until every connection has ended; blocks for the time-out at most."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection in self._connections:
                _shut(connection)
            self._changed.wait_for(lambda: not self._connections, timeout_seconds)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away whenever it likes; anything else is a fault of ours, and is shown."""
        if not isinstance(sys.exception(), _GONE):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: SimulatorServer

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the statistics tell more."""

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MOST_REQUEST_BYTES:
            self.close_connection = True
            self._send(message(413, "Content Too Large"))
            return
        reply = self.server.respond(self, self.rfile.read(int(length)))
        if isinstance(reply, Stream):
            self._stream(reply)
            return
        if reply.delay_seconds and self.server.closing.wait(reply.delay_seconds):
            self.close_connection = True
            return
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815 - names that http.server asks for

    def _send(self, answer: Answer) -> None:
        body = answer.body if answer.send_bytes is None else answer.body[: answer.send_bytes]
        headers = (("Content-Length", str(len(answer.body))), *answer.headers)
        self.wfile.write(self._head(answer.status, answer.content_type, headers) + body)
        if answer.send_bytes is not None:
            self.close_connection = True
            _shut(self.connection)

    def _stream(self, stream: Stream) -> None:
        self.wfile.write(self._head(200, stream.content_type, (("Transfer-Encoding", "chunked"),)))
        for chunk in _framed(stream.chunks):
            self.wfile.write(chunk)

    def _head(self, status: int, content_type: str, headers: tuple[tuple[str, str], ...]) -> bytes:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
        own = (("Date", self.date_time_string()), ("Content-Type", content_type), ("Cache-Control", "no-store"))
        lines = [f"{name}: {value}\r\n" for name, value in (*own, *headers)]
        closing = "Connection: close\r\n" if self.close_connection else ""
        return f"HTTP/1.1 {status} {phrase}\r\n{''.join(lines)}{closing}\r\n".encode("latin-1")


def _framed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # The other side was faster.
