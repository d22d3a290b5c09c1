"""A real Postgres as a child process, on loopback, its data in a folder."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

import psycopg

from services.runtime.clock import Deadline, SystemClock
from services.runtime.errors import Fatal
from services.sandbox import databases
from services.sandbox.ports import LOOPBACK, remembered_ports
from services.sandbox.postgres_binaries import find_binaries, reachable_binaries, server_user
from services.sandbox.postgres_data import SUPERUSER, DataFolder, reachable_folder
from services.sandbox.processes import Launch, ServerProcess, children_of

DATABASE = "mailriver"
"""The database that is there from the first start on."""
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_CONNECT_SECONDS = 2
_RETRY_SECONDS = 0.05
# What a start says while sessions of a killed server are still ending.
_SESSIONS_LEFT = "pre-existing shared memory block"

SETTINGS = {
    "shared_buffers": "256MB",
    # Few checkpoints: the first change of a page after one writes the whole page to the log.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
}
"""What differs from Postgres' defaults. fsync and synchronous_commit stay on: a kill loses nothing."""


class EmbeddedPostgres:
    """One server. A new start on the same folder finds its data and its address again, after a kill too.

    Not to be shared between threads. As a context manager it is started, and stopped at the end.
    """

    def __init__(self, data_dir: Path, *, binaries: Path | None = None, port: int | None = None) -> None:
        """``binaries``: the folder of ``initdb``; else as ``MAILRIVER_POSTGRES`` says: system, wheel or a folder."""
        environ = os.environ  # noqa: TID251 - composition root
        # The PG... variables are meant for clients, but the server's programs read some of them too.
        self._environ = {name: value for name, value in environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
        self._user = server_user()
        self._binaries = binaries or find_binaries(environ.get("MAILRIVER_POSTGRES"))
        self._port = port
        self._wanted = data_dir.absolute()
        self._folder = DataFolder(reachable_folder(self._wanted, self._user), self._user)
        self._process: ServerProcess | None = None
        self._dsn = ""

    @property
    def data_dir(self) -> Path:
        """Where the data is: not where it was asked for, if the user that Postgres runs as cannot get there."""
        return self._folder.path

    @property
    def note(self) -> str | None:
        """A sentence for people if the data is not where it was asked for."""
        if self._user is None or self.data_dir == self._wanted:
            return None
        return (
            f"Postgres runs as {self._user.name}, since root may not run it, and that user cannot reach "
            f"{self._wanted}: its data is in {self.data_dir}."
        )

    @property
    def dsn(self) -> str:
        """The address of the database ``mailriver``, with password; known once it has been started, and kept."""
        if not self._dsn:
            raise Fatal("Postgres has no address before it was started")
        return self._dsn

    @property
    def socket_dir(self) -> Path | None:
        """The folder of its unix socket, for clients that name it as host; None if the path would be too long."""
        return self._folder.socket_dir

    @property
    def pid(self) -> int:
        """The id of its first process. Raises Fatal if it does not run."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether its first process runs, frozen or not."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it and wait until it answers: 0.1 s, 2 s the first time. Else raises Fatal, with its log's end."""
        if self.running:
            raise Fatal("Postgres runs already")
        try:
            self._binaries = reachable_binaries(self._binaries, self._user)
            password = self._folder.prepare(self._binaries, self._environ)
            fixed = {} if self._port is None else {"postgres": self._port}
            port = remembered_ports(self.data_dir / "ports.json", ("postgres",), fixed=fixed)["postgres"]
        except OSError as error:
            raise Fatal(f"Postgres cannot use {self.data_dir}: {error}") from error
        server_dsn = f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{port}/postgres"
        try:
            self._launch(port, server_dsn)
            _ensure_database(server_dsn)
        except BaseException:
            self.kill()
            raise
        self._dsn = databases.dsn_of(server_dsn, DATABASE)

    def stop(self) -> None:
        """Stop it orderly (open transactions are rolled back), by force after 20 s. Nothing if it does not run."""
        if self._process is not None:
            _send(self._sessions(), signal.SIGCONT)
            self._process.stop(_STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), with its sessions. Nothing happens if it does not run."""
        if self._process is not None:
            # Frozen first, so that it starts no other processes while we look at them.
            self._process.signal(signal.SIGSTOP)
            sessions = self._sessions()
            self._process.kill()
            self._process = None
            _send(sessions, signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it with its sessions: connections stay open and nobody answers. Raises Fatal if it does not run."""
        self._running().signal(signal.SIGSTOP)
        _send(self._sessions(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after :meth:`pause`. Raises Fatal if it does not run."""
        process = self._running()
        _send(self._sessions(), signal.SIGCONT)
        process.signal(signal.SIGCONT)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, a copy of ``template`` if given; its address."""
        return databases.create_database(self.dsn, name, template=template)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists; whoever is connected to it is thrown out."""
        databases.drop_database(self.dsn, name)

    def remove(self) -> None:
        """End it and delete its data, wherever that is."""
        self.kill()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> ServerProcess:
        if self._process is None or not self._process.running:
            raise Fatal("Postgres does not run")
        return self._process

    def _sessions(self) -> list[int]:
        return children_of(self._process.pid) if self._process is not None and self._process.running else []

    def _launch(self, port: int, server_dsn: str) -> None:
        clock = SystemClock()
        deadline = Deadline(clock, _START_SECONDS)
        launch = Launch(
            name="Postgres",
            command=self._command(port),
            log=self.data_dir / "postgres.log",
            environ=self._environ,
            stop_signal=signal.SIGINT,
            user=self._user,
        )
        while True:
            self._process = ServerProcess(launch, clock)
            if self._process.wait_ready(lambda: _answers(server_dsn), deadline.remaining()):
                return
            said = self._process.ended()
            if _SESSIONS_LEFT not in said or deadline.passed:
                raise Fatal(said)
            Event().wait(_RETRY_SECONDS)

    def _command(self, port: int) -> list[str]:
        sockets = self.socket_dir
        options = SETTINGS | {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": "" if sockets is None else str(sockets),
        }
        command = [str(self._binaries / "postgres"), "-D", str(self._folder.cluster)]
        return command + [part for name, value in options.items() for part in ("-c", f"{name}={value}")]


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(server_dsn: str) -> None:
    with suppress(psycopg.errors.DuplicateDatabase):
        databases.create_database(server_dsn, DATABASE)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
