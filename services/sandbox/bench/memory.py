"""How much memory the services take at most while they work a backlog off, all three at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg

from services.sandbox.bench.figures import Aim, Figure, Sample
from services.sandbox.bench.pipeline import stored
from services.sandbox.bench.world import World
from services.sandbox.demo import API_KEY, DOMAIN
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.stack import SERVICES

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_LOOK_SECONDS = 0.2


def figure_of(service: str) -> Figure:
    """The row of a service."""
    return Figure(f"memory of the {service}, peak", "MB", (Aim(200, at_least=False),))


def measure(world: World) -> Iterator[Sample]:
    """One run: the backlog from the simulator to Postgres. Where the system does not tell peaks: no samples."""
    simulator = MailgunSimulator(Scenario(domains=(DOMAIN,), api_key=API_KEY), clock=world.clock.now)
    simulator.add(DOMAIN, world.load.newsletter.events)
    prefix = world.prefix(backlog=False)
    with (
        simulator,
        world.database() as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
        world.services(
            prefix,
            dsn,
            *SERVICES,
            base_url=simulator.base_url,
            FETCH_LOOKBACK_SECONDS="7200",
            FETCH_MISSING_LOOKBACK_SECONDS="10",
        ) as services,
    ):
        for _ in world.follow(
            lambda: stored(connection), len(world.load.typed), services.values(), every=_LOOK_SECONDS
        ):
            pass
        peaks = {name: peak_megabytes(services[name].pid) for name in reversed(SERVICES)}
    for name, peak in peaks.items():
        if peak is not None:
            yield Sample(figure_of(name), peak)


def peak_megabytes(pid: int) -> float | None:
    """The most that a process has had in memory (its resident set); None where the system has no /proc."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
