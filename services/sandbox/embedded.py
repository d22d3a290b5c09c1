"""What the embedded servers share: a process, started and ended by us, on a folder and at an address that it keeps."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.sandbox.ports import remembered_ports
from services.sandbox.processes import Launch, ServerProcess


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """All that a start needs, once the folder is prepared."""

    launch: Launch
    address: str
    """For clients."""
    answers: Callable[[], bool]
    """Whether the server is of use by now; an open port may be too early."""
    seconds: float
    """How long that may take."""


class EmbeddedServer(ABC):
    """One server as a child process. A new start on the same folder has the same address again, after a kill too.

    Not to be shared between threads. As a context manager it is started, and stopped at the end.
    """

    def __init__(self, name: str, data_dir: Path, *, port: int | None, stop_seconds: float) -> None:
        """``name``: what messages call it. ``port``: else a free one. ``stop_seconds``: until it is ended by force."""
        self._name, self._data, self._port, self._stop_seconds = name, data_dir, port, stop_seconds
        self._process: ServerProcess | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """Its address, as clients want it; known once it has been started, and the same after every start."""
        if not self._address:
            raise Fatal(f"{self._name} has no address before it was started")
        return self._address

    @property
    def pid(self) -> int:
        """The id of its first process. Raises Fatal if it does not run."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether its first process runs, frozen or not."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it and wait until it answers. Raises Fatal, with the end of its log, if it does not."""
        if self.running:
            raise Fatal(f"{self._name} runs already")
        try:
            start = self._prepare()
        except OSError as error:
            raise Fatal(f"{self._name} cannot use {self._data}: {error}") from error
        try:
            self._run(start)
        except BaseException:
            self.kill()
            raise
        self._address = start.address

    def stop(self) -> None:
        """Stop it orderly, by force if that takes too long. Nothing happens if it does not run."""
        if self._process is not None:
            self._process.stop(self._stop_seconds)
            self._process = None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL). Nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers. Raises Fatal if it does not run."""
        self._running().signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after :meth:`pause`. Raises Fatal if it does not run."""
        self._running().signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self) -> Start:
        """Make what the server needs in its folder. Raises Fatal, or OSError if the folder cannot be used."""

    def _run(self, start: Start) -> None:
        """Start its process and return when it answers. Raises Fatal if it does not."""
        self._process = ServerProcess(start.launch, SystemClock())
        self._process.require_ready(start.answers, start.seconds)

    def _running(self) -> ServerProcess:
        if self._process is None or not self._process.running:
            raise Fatal(f"{self._name} does not run")
        return self._process

    def _ports(self, *names: str, file: str = "ports.json") -> dict[str, int]:
        """Its ports by name, remembered in ``file``; the first is the one that was asked for, if one was."""
        fixed = {} if self._port is None else {names[0]: self._port}
        return remembered_ports(self._data / file, names, fixed=fixed)
