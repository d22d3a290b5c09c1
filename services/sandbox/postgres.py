"""A real Postgres as a child process, on loopback, its data in a folder."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from threading import Event

import psycopg
from typing_extensions import override

from services.runtime.clock import Deadline, SystemClock
from services.runtime.errors import Fatal
from services.sandbox import databases
from services.sandbox.embedded import EmbeddedServer, Start
from services.sandbox.ports import LOOPBACK
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


class EmbeddedPostgres(EmbeddedServer):
    """One server. A new start on the same folder finds its data and its address again, after a kill too."""

    def __init__(self, data_dir: Path, *, binaries: Path | None = None, port: int | None = None) -> None:
        """``binaries``: the folder of ``initdb``; else as ``MAILRIVER_POSTGRES`` says: system, wheel or a folder."""
        environ = os.environ  # noqa: TID251 - composition root
        # The PG... variables are meant for clients, but the server's programs read some of them too.
        self._environ = {name: value for name, value in environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
        self._user = server_user()
        self._binaries = binaries or find_binaries(environ.get("MAILRIVER_POSTGRES"))
        self._wanted = data_dir.absolute()
        self._folder = DataFolder(reachable_folder(self._wanted, self._user), self._user)
        super().__init__("Postgres", self._folder.path, port=port, stop_seconds=_STOP_SECONDS)

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
        return self.address

    @property
    def socket_dir(self) -> Path | None:
        """The folder of its unix socket, for clients that name it as host; None if the path would be too long."""
        return self._folder.socket_dir

    @override
    def stop(self) -> None:
        """Stop it orderly: open transactions are rolled back."""
        _send(self._sessions(), signal.SIGCONT)
        super().stop()

    @override
    def kill(self) -> None:
        """End it as a crash would (SIGKILL), with its sessions."""
        if self._process is not None:
            # Frozen first, so that it starts no other processes while we look at them.
            self._process.signal(signal.SIGSTOP)
        sessions = self._sessions()
        super().kill()
        _send(sessions, signal.SIGKILL)

    @override
    def pause(self) -> None:
        """Freeze it with its sessions."""
        super().pause()
        _send(self._sessions(), signal.SIGSTOP)

    @override
    def resume(self) -> None:
        """Let it go on, its sessions first."""
        _send(self._sessions(), signal.SIGCONT)
        super().resume()

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

    @override
    def _prepare(self) -> Start:
        self._binaries = reachable_binaries(self._binaries, self._user)
        password = self._folder.prepare(self._binaries, self._environ)
        port = self._ports("postgres")["postgres"]
        server = f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{port}/postgres"
        launch = Launch(
            name=self._name,
            command=self._command(port),
            log=self.data_dir / "postgres.log",
            environ=self._environ,
            stop_signal=signal.SIGINT,
            user=self._user,
        )
        return Start(
            launch=launch,
            address=databases.dsn_of(server, DATABASE),
            answers=lambda: _answers(server),
            seconds=_START_SECONDS,
        )

    @override
    def _run(self, start: Start) -> None:
        clock = SystemClock()
        deadline = Deadline(clock, start.seconds)
        while True:
            self._process = ServerProcess(start.launch, clock)
            if self._process.wait_ready(start.answers, deadline.remaining()):
                break
            said = self._process.ended()
            if _SESSIONS_LEFT not in said or deadline.passed:
                raise Fatal(said)
            Event().wait(_RETRY_SECONDS)
        with suppress(psycopg.errors.DuplicateDatabase):
            databases.create_database(databases.dsn_of(start.address, "postgres"), DATABASE)

    def _sessions(self) -> list[int]:
        return children_of(self._process.pid) if self._process is not None and self._process.running else []

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


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
