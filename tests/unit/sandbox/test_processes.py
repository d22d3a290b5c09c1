"""Child processes: how they are started and ended, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.sandbox.processes import Launch, ServerProcess, children_of
from tests.support.waiting import wait_until

SERVER = "echo ready; while :; do sleep 0.05; done"
STUBBORN = f"trap '' TERM; {SERVER}"
PARENT = """
import os, sys
from pathlib import Path
from services.runtime.clock import SystemClock
from services.sandbox.processes import Launch, ServerProcess
log = Path(sys.argv[1])
server = ServerProcess(Launch(name="it", command=["sh", "-c", sys.argv[2]], log=log, environ=os.environ), SystemClock())
server.wait_ready(lambda: b"ready" in log.read_bytes(), 10)
print(server.pid, flush=True)
sys.stdin.read()
"""


class Servers:
    """Starts shell scripts as servers."""

    def __init__(self, folder: Path, exits: ExitStack) -> None:
        self.log = folder / "it.log"
        self._exits = exits

    def start(self, script: str) -> ServerProcess:
        launch = Launch(name="it", command=["sh", "-c", script], log=self.log, environ=dict(os.environ))
        process = ServerProcess(launch, SystemClock())
        self._exits.callback(process.kill)
        return process

    def ready(self) -> bool:
        return b"ready" in self.log.read_bytes()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as exits:
        yield Servers(tmp_path, exits)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_server_becomes_ready_and_stops_as_told(servers: Servers) -> None:
    process = servers.start(SERVER)
    assert process.wait_ready(servers.ready, 10)
    assert not is_gone(process.pid)
    process.stop(10)
    assert not process.running
    assert is_gone(process.pid)


def test_one_that_ends_first_is_told_with_its_last_words(servers: Servers) -> None:
    process = servers.start("echo the disk is full; exit 3")
    with pytest.raises(Fatal, match=r"it ended with exit code 3; the end of .*it\.log:\nthe disk is full"):
        process.require_ready(lambda: False, 10)


def test_one_that_never_gets_ready_is_told_and_left_to_the_caller(servers: Servers) -> None:
    process = servers.start("echo still trying; while :; do sleep 0.05; done")
    wait_until(servers.log.read_bytes, seconds=10, what="it says something")
    with pytest.raises(Fatal, match=r"it is not ready after 0\.1 s; .*\nstill trying"):
        process.wait_ready(lambda: False, 0.1)
    assert process.running


def test_only_the_words_of_this_run_are_shown(servers: Servers) -> None:
    servers.start("echo the first run; exit 1").wait_ready(lambda: False, 10)
    second = servers.start("echo the second run; exit 1")
    second.wait_ready(lambda: False, 10)
    assert "the second run" in second.ended()
    assert "the first run" not in second.ended()
    assert servers.log.read_text() == "the first run\nthe second run\n"


def test_one_that_does_not_stop_is_killed(servers: Servers) -> None:
    process = servers.start(STUBBORN)
    process.wait_ready(servers.ready, 10)
    process.stop(0.1)
    assert not process.running


def test_a_frozen_one_can_be_stopped(servers: Servers) -> None:
    process = servers.start(SERVER)
    process.wait_ready(servers.ready, 10)
    process.signal(signal.SIGSTOP)
    stopped = psutil.STATUS_STOPPED
    wait_until(lambda: psutil.Process(process.pid).status() == stopped, seconds=10, what="it is frozen")
    process.stop(10)
    assert not process.running


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    launch = Launch(name="it", command=["/no/such/program"], log=tmp_path / "it.log", environ={})
    with pytest.raises(Fatal, match=r"it cannot be started: .*No such file"):
        ServerProcess(launch, SystemClock())


def test_nothing_is_left_of_a_server_that_was_ended(servers: Servers) -> None:
    before = set(children_of(os.getpid()))
    for end in (lambda process: process.stop(10), ServerProcess.kill):
        process = servers.start(SERVER)
        process.wait_ready(servers.ready, 10)
        assert len(set(children_of(os.getpid())) - before) == 2, "the server, and who watches over it"
        end(process)
        assert set(children_of(os.getpid())) <= before


@pytest.mark.parametrize("script", [SERVER, STUBBORN], ids=["obedient", "stubborn"])
def test_a_server_ends_when_its_parent_is_killed(tmp_path: Path, script: str) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "it.log"), script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[3]) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert not is_gone(server)
        parent.kill()
    wait_until(lambda: is_gone(server), seconds=15, what="the server ends after its parent")
