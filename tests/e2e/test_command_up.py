"""`mailriver up`: runs until told to stop, and starts again what dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import psycopg
import pytest

from services.contracts import topics
from services.contracts.identity import occurred_at
from services.runtime.codecs import codec_for
from services.sandbox.newsletter.audience import canonical
from services.sandbox.stack import SERVICES
from tests.support.topics import read_committed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]

RECIPIENTS = 1_500


class Up:
    """A running `mailriver up`."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process, self._output = process, output

    def said(self) -> str:
        return self._output.read_text()

    def value(self, name: str) -> str:
        """What it printed as ``NAME=value``."""

        def found() -> str:
            assert self.process.poll() is None, self.said()
            return next(
                (line.partition("=")[2] for line in self.said().splitlines() if line.startswith(f"{name}=")), ""
            )

        return wait_until(found, seconds=60, what=f"up prints {name}")

    def service(self, name: str) -> psutil.Process | None:
        """The process of a service."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.cmdline()[-2:] == ["run", name]:
                    return child
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return None

    def is_back(self, name: str, old_pid: int) -> bool:
        """Whether the service runs as another process."""
        found = self.service(name)
        return found is not None and found.pid != old_pid


@contextmanager
def running(folder: Path) -> Iterator[Up]:
    output = folder / "up.txt"
    command = [sys.executable, "-m", "services", "up", "--recipients", str(RECIPIENTS), "--every", "3600"]
    with output.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))
    try:
        yield Up(process, output)
    finally:
        process.terminate()
        process.wait(60)


def truth(base_url: str) -> list[dict[str, Any]]:
    """Every event that the simulator has, with what became of it."""
    answer = httpx.get(f"{base_url}/_simulator/truth", timeout=30)
    return [msgspec.json.decode(line) for line in answer.text.splitlines()]


def is_fetched(bootstrap: str, shown: set[str]) -> bool:
    """Whether the raw topic holds just these events."""
    codec = codec_for(None)
    return {
        getattr(codec.decode(each.value), "event_id", None) for each in read_committed(bootstrap, topics.RAW)
    } == shown


def first_opened(events: list[dict[str, Any]]) -> dict[str, int]:
    """The first open of each address, in milliseconds."""
    firsts: dict[str, int] = {}
    for event in events:
        if event["event_type"] == "opened":
            address = canonical(event["payload"]["recipient"])
            instant = (occurred_at(event["timestamp"]) or 0) // 1000
            firsts[address] = min(firsts.get(address, instant), instant)
    return firsts


def stored_opened(database_url: str) -> dict[str, int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT member_email, (extract(epoch FROM opened_at) * 1000)::bigint FROM mailriver.email_recipients "
            "WHERE opened_at IS NOT NULL"
        ).fetchall()
    return {canonical(address): instant for address, instant in rows}


def test_each_service_is_killed_and_the_river_runs_on(tmp_path: Path) -> None:
    """kill -9 of each in turn while a newsletter flows: started again by itself, nothing lost, nothing twice."""
    with running(tmp_path) as up:
        base_url, database_url = up.value("MAILGUN_BASE_URL"), up.value("DATABASE_URL")
        bootstrap = up.value("KAFKA_BOOTSTRAP_SERVERS")
        wait_until(lambda: stored_opened(database_url), seconds=60, what="the first opens are stored", every=0.5)
        for name in SERVICES:
            victim = up.service(name)
            assert victim is not None
            victim.kill()
            wait_until(partial(up.is_back, name, victim.pid), seconds=20, what=f"{name} is started again")
        assert up.said().count("was started again") == len(SERVICES)
        events = truth(base_url)
        ends = max(event["visible_at"] for event in events)
        wait_until(lambda: time.time() > ends, seconds=90, what="the newsletter's course is over", every=0.5)
        wait_until(
            lambda: stored_opened(database_url) == first_opened(events),
            seconds=90,
            what="every first open is stored as it happened",
            every=0.5,
        )
        shown = {event["id"] for event in events}
        wait_until(partial(is_fetched, bootstrap, shown), seconds=60, what="every event is in the raw topic", every=0.5)
        children = psutil.Process(up.process.pid).children(recursive=True)
        began = time.monotonic()
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(60) == 0, up.said()
        assert time.monotonic() - began < 45
        assert not [child for child in children if child.is_running()]
