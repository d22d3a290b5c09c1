"""A TCP proxy before Postgres that a test can take away and bring back."""

from __future__ import annotations

import selectors
import socket
from threading import Thread

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class DatabaseProxy:
    """Listens on a loopback port while it is up; going down cuts all connections. Close it at the end."""

    def __init__(self, dsn: str) -> None:
        given = conninfo_to_dict(dsn)
        self._host, self._port = str(given.get("host") or "127.0.0.1"), str(given.get("port") or "5432")
        self._listener: socket.socket | None = None
        self._threads: list[Thread] = []
        self._open: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            self._listen_port: int = reserved.getsockname()[1]
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._listen_port, hostaddr="127.0.0.1")

    def up(self) -> None:
        """Listen, from when this returns on."""
        self._listener = socket.create_server(("127.0.0.1", self._listen_port))
        self._start(self._accept, self._listener)

    def down(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._listener is not None:
            # Wakes the thread in accept(), which close() alone would not.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for each in self._open:
            _cut(each)
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()
        self._threads, self._open = [], []

    def _start(self, target: object, *arguments: socket.socket) -> None:
        thread = Thread(target=target, args=arguments)  # type: ignore[arg-type]  # one of the methods below
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = self._connect()
            self._open += [client, server]
            self._start(_relay, client, server)

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return server
        return socket.create_connection((self._host, int(self._port)))


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Pass bytes on both ways until one side ends."""
    other = {client: server, server: client}
    with selectors.DefaultSelector() as selector:
        for each in other:
            selector.register(each, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                try:
                    received = source.recv(65536)
                    if received:
                        other[source].sendall(received)
                        continue
                except OSError:
                    pass
                _cut(client)
                _cut(server)
                return


def _cut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
