"""How a process starts, is told to stop, and ends."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx
import pytest

from services.contracts.registry import IncompatibleSchema
from services.runtime import lifecycle, logs
from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.runtime.health import Health
from services.runtime.lifecycle import App, Chassis, Stop
from services.runtime.logs import Redaction
from services.runtime.settings import HttpSettings
from tests.support.tables import ROOT
from tests.support.waiting import wait_until

SETTINGS = HttpSettings(http_port=0)


class Scripted:
    """An app that does something in its third step."""

    def __init__(self, chassis: Chassis, third: Callable[[], None], closing: Callable[[], None]) -> None:
        self.chassis, self.steps, self.closed = chassis, 0, 0
        self._third, self._closing = third, closing

    def step(self) -> None:
        self.steps += 1
        if self.steps == 3:
            self._third()

    def close(self) -> None:
        self.closed += 1
        self._closing()


class Running:
    """A run of the lifecycle in this process, and what it logged."""

    def __init__(self) -> None:
        self.apps: list[Scripted] = []
        self.stream = io.StringIO()
        logs.configure("test", level="INFO", redaction=Redaction(b"key"), stream=self.stream)

    def run(self, third: Callable[[], None] | None = None, closing: Callable[[], None] = lambda: None) -> int:
        """With a third step that ends it as a signal would, if nothing else is said."""

        def build(chassis: Chassis) -> App:
            self.apps.append(Scripted(chassis, third or chassis.stop.set, closing))
            return self.apps[-1]

        return self.run_built(build)

    def run_built(self, build: Callable[[Chassis], App], settings: HttpSettings = SETTINGS) -> int:
        return lifecycle.run("test", settings, build, dependencies=(), workers=("worker",))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@pytest.fixture
def running() -> Iterator[Running]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Running()
    root.handlers[:] = handlers
    root.setLevel(level)


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_an_app_is_stepped_until_the_stop_and_closed_once(running: Running) -> None:
    """Exit 0."""
    before = signal.getsignal(signal.SIGTERM)
    assert running.run() == 0
    (app,) = running.apps
    assert (app.steps, app.closed) == (3, 1)
    assert running.events == ["started", "stopped"]
    assert app.chassis.health.ready()["shutdown"] == "draining"
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("error", [Fatal("mend me"), IncompatibleSchema("mend me")])
def test_what_only_a_person_can_mend_ends_the_process_with_its_sentence(running: Running, error: Exception) -> None:
    """Exit 1, the app closed all the same."""
    assert running.run(failing(error)) == 1
    assert running.events == ["started", "cannot_go_on", "stopped"]
    assert running.lines[1]["error"] == "mend me"
    assert running.apps[0].closed == 1


def test_a_fault_of_ours_ends_the_process_with_its_traceback(running: Running) -> None:
    """Exit 1: it is started again, and somebody is told."""
    assert running.run(failing(KeyError("oops"))) == 1
    assert running.events == ["started", "crashed", "stopped"]
    assert "KeyError: 'oops'" in running.lines[1]["exception"]
    assert running.apps[0].closed == 1


def test_an_app_that_cannot_be_built_ends_the_process(running: Running) -> None:
    """There is nothing to close."""

    def build(chassis: Chassis) -> App:
        raise Fatal(f"no {chassis.service} today")

    assert running.run_built(build) == 1
    assert running.events == ["started", "cannot_go_on", "stopped"]


def test_an_app_that_cannot_be_closed_ends_the_process_with_1(running: Running) -> None:
    """And is said so; the first failure is not hidden by it."""
    assert running.run(closing=failing(OSError("gone"))) == 1
    assert running.events == ["started", "close_failed", "stopped"]
    assert running.run(failing(KeyError("oops")), failing(OSError("gone"))) == 1
    assert running.events[3:] == ["started", "crashed", "close_failed", "stopped"]


def test_a_port_in_use_ends_the_process_before_anything_is_built(running: Running) -> None:
    """Exit 1 with the sentence; the signals are given back."""
    before = signal.getsignal(signal.SIGTERM)
    codes: list[int] = []

    def build_another(chassis: Chassis) -> App:
        port = running.lines[0]["http_port"]
        codes.append(running.run_built(failing_build, HttpSettings(http_port=port)))
        return Scripted(chassis, chassis.stop.set, lambda: None)

    def failing_build(_chassis: Chassis) -> App:
        raise AssertionError("built all the same")

    assert running.run_built(build_another) == 0
    assert codes == [1]
    assert running.events == ["started", "cannot_start", "stopped"]
    assert "HTTP_PORT: cannot listen on 127.0.0.1" in running.lines[1]["error"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_first_signal_sets_the_event_and_gives_the_handlers_back() -> None:
    """So that the second one does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    told: list[str] = []
    stop = Stop(lambda: told.append("told"))
    try:
        assert not stop.event.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stop.event.is_set()
        assert told == ["told"]
        assert signal.getsignal(signal.SIGINT) == before
    finally:
        stop.restore()


class Process:
    """A process of tests/support/slow_service.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[dict[str, Any]] = []
        self._reader = Thread(target=self._read)
        self._reader.start()
        started = wait_until(lambda: self._lines[:1], seconds=30, what="the service starts")
        self._base = f"http://127.0.0.1:{started[0]['http_port']}"
        wait_until(lambda: self.faults() == {}, seconds=10, what="the service is ready")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(json.loads(line))

    def faults(self) -> dict[str, str]:
        """What is not ready."""
        faults: dict[str, str] = httpx.get(f"{self._base}/readyz", trust_env=False).json()["faults"]
        return faults

    def wait(self) -> int:
        """The exit code."""
        code = self.process.wait(30)
        self._reader.join()
        return code

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self._lines]


@contextmanager
def slow_service(step: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.support.slow_service", step]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def test_a_process_that_is_told_to_stop_ends_well() -> None:
    """SIGTERM once: exit 0."""
    with slow_service("until-stop") as service:
        service.process.send_signal(signal.SIGTERM)
        assert service.wait() == 0
    assert service.events == ["started", "stopped"]


def test_a_process_is_not_ready_from_the_first_signal_on_and_ends_at_once_by_the_second() -> None:
    """Also while its step takes long."""
    with slow_service("600") as service:
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.faults() == {"shutdown": "draining"}, seconds=10, what="it is draining")
        assert service.process.poll() is None
        service.process.send_signal(signal.SIGTERM)
        assert service.wait() == -signal.SIGTERM
    assert service.events == ["started"]


def test_draining_takes_no_lock() -> None:
    """A signal may come while the main thread holds it."""
    health = Health(SystemClock(), dependencies=(), workers=())
    with health._lock:
        health.drain()
    assert health.ready() == {"shutdown": "draining"}
