"""The probes as the cluster sees them: over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.runtime.errors import Fatal
from services.runtime.health import LIVENESS_SECONDS, Health
from services.runtime.http import ProbeServer
from services.runtime.metrics import HealthCollector
from tests.support.clock import HeldClock


class Probed:
    """A server of probes, and what it is about."""

    def __init__(self) -> None:
        self.clock, registry = HeldClock(), CollectorRegistry()
        self.health = Health(self.clock, dependencies=("kafka",), workers=("consumer",))
        registry.register(HealthCollector("storage", self.health, self.clock))
        self.server = ProbeServer("127.0.0.1", 0, self.health, registry)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.server.port}{path}", trust_env=False)

    def says(self, path: str) -> tuple[int, dict[str, str]]:
        """Status and faults."""
        response = self.get(path)
        assert response.headers["content-type"] == "application/json"
        body = response.json()
        assert body["ok"] == (response.status_code == 200)
        return response.status_code, body["faults"]

    def value(self, name: str) -> float:
        (line,) = [line for line in self.get("/metrics").text.splitlines() if line.startswith(name)]
        return float(line.rpartition(" ")[2])


@pytest.fixture
def probed() -> Iterator[Probed]:
    probed = Probed()
    yield probed
    probed.server.close()


def test_a_service_that_is_starting(probed: Probed) -> None:
    """Alive, and nothing else yet; the bodies name the part that is to blame."""
    assert probed.says("/livez") == (200, {})
    assert probed.says("/startupz") == (503, {"consumer": "has not started"})
    status, faults = probed.says("/readyz")
    assert status == 503
    assert set(faults) == {"consumer", "kafka"}


def test_a_service_from_well_to_draining(probed: Probed) -> None:
    """Each probe follows what it is about."""
    probed.health.started("consumer")
    probed.health.works("kafka")
    assert [probed.says(path) for path in ("/livez", "/startupz", "/readyz")] == [(200, {})] * 3
    probed.health.fails("kafka", "no broker answers")
    assert probed.says("/livez") == (200, {})
    assert probed.says("/readyz") == (503, {"kafka": "no broker answers"})
    probed.health.rests("kafka", True)
    assert probed.says("/readyz") == (200, {})
    probed.health.drain()
    assert probed.says("/readyz") == (503, {"shutdown": "draining"})
    probed.clock.move(LIVENESS_SECONDS + 1)
    assert probed.says("/livez") == (503, {"consumer": "no step for 61 s"})


@pytest.mark.parametrize("path", ["/", "/healthz", "/livez/", "/metrics/x"])
def test_other_paths_are_not_found_and_told_what_there_is(probed: Probed, path: str) -> None:
    """A misspelt probe fails."""
    status, faults = probed.says(path)
    assert status == 404
    assert "/livez, /readyz, /startupz and /metrics" in faults["path"]


def test_a_stuck_worker_shows_a_growing_age(probed: Probed) -> None:
    """The timestamp of its last step stays where it is while time goes on."""
    stepped = probed.value("mailriver_worker_last_step_timestamp_seconds")
    assert stepped == probed.clock.now()
    probed.clock.move(500.0)
    assert probed.value("mailriver_worker_last_step_timestamp_seconds") == stepped
    assert probed.clock.now() - stepped == 500.0
    probed.health.stepped("consumer")
    assert probed.value("mailriver_worker_last_step_timestamp_seconds") == probed.clock.now()


def test_metrics_tell_which_dependency_is_up(probed: Probed) -> None:
    """By its last real use."""
    assert probed.value("mailriver_dependency_up") == 0.0
    probed.health.works("kafka")
    assert probed.value("mailriver_dependency_up") == 1.0


def test_a_probe_is_answered_while_another_client_is_slow(probed: Probed) -> None:
    """One that connects and sends nothing holds nobody up."""
    with socket.create_connection(("127.0.0.1", probed.server.port)):
        assert probed.says("/livez") == (200, {})


def test_a_port_in_use_is_fatal_and_says_what_to_do(probed: Probed) -> None:
    """With its number."""
    port = probed.server.port
    with pytest.raises(
        Fatal, match=rf"HTTP_PORT: cannot listen on 127\.0\.0\.1:{port}: .*in use; choose another, or 0"
    ):
        ProbeServer("127.0.0.1", port, probed.health, CollectorRegistry())


def test_a_closed_server_gives_its_port_back() -> None:
    """At once: the next process can start."""
    first = Probed()
    first.server.close()
    with pytest.raises(httpx.ConnectError):
        first.get("/livez")
    again = ProbeServer("127.0.0.1", first.server.port, first.health, CollectorRegistry())
    again.close()
