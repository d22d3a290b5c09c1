"""Fetchers as processes of their own, that a test can kill, freeze and wake."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from services.sandbox.ports import free_port
from services.sandbox.stack import Service
from tests.support.fetching import API_KEY, QUICK

SESSION_SECONDS = 6
_PROPERTIES = f"session.timeout.ms={SESSION_SECONDS * 1000}\nheartbeat.interval.ms=1000\n"


class Fetchers:
    """Several of them on one prefix. A context manager that ends them all."""

    def __init__(
        self, count: int, *, bootstrap: str, prefix: str, base_url: str, folder: Path, settings: Mapping[str, str]
    ) -> None:
        """``folder``: of their logs. ``settings``: over the quick ones, by their names."""
        properties = folder / "kafka.properties"
        properties.write_text(_PROPERTIES)
        environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            "MAILGUN_API_KEY": API_KEY,
            "MAILGUN_BASE_URL": base_url,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_PROPERTIES_FILE": str(properties),
            "TOPIC_PREFIX": prefix,
            "HTTP_HOST": "127.0.0.1",
            **QUICK,
            **settings,
        }
        taken: set[int] = set()
        self.all: list[Service] = []
        for number in range(count):
            taken.add(port := free_port(taken))
            self.all.append(Service("fetcher", port, environ, folder / f"fetcher-{number}.log"))

    def __enter__(self) -> Self:
        for service in self.all:
            service.start()
        return self

    def __exit__(self, *_: object) -> None:
        for service in self.all:
            if service.running:
                self.wake(service)
            service.stop()

    def kill(self, service: Service) -> None:
        """kill -9, and start it again."""
        service.kill()
        service.start()

    def freeze(self, service: Service) -> None:
        """It stands still, and does not know it."""
        os.kill(service.pid, signal.SIGSTOP)

    def wake(self, service: Service) -> None:
        """It goes on as if no time had passed."""
        with suppress(ProcessLookupError):
            os.kill(service.pid, signal.SIGCONT)

    def said(self) -> str:
        """The last lines of their logs."""
        return "\n".join(service.tail() for service in self.all)
