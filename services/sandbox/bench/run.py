"""`mailriver bench`: the measurements one after the other, each as often as wanted, and the table of them."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import psycopg
from rich.console import Console

from services.runtime import logs
from services.runtime.clock import Clock, SystemClock
from services.runtime.errors import Fatal
from services.runtime.lifecycle import Stop
from services.runtime.settings import is_ours
from services.sandbox.bench import NAMES, bare_kafka, fetch, latency, memory, pipeline, processor, storage
from services.sandbox.bench.figures import Row, Sample, rows_of
from services.sandbox.bench.growth import Growth
from services.sandbox.bench.table import json_of, table_of
from services.sandbox.bench.world import World
from services.sandbox.folders import temporary_folder
from services.sandbox.stack import Stack

_WIDTH = 180
Measure = Callable[[], Iterator[Sample]]
_MODULES = (storage, processor, pipeline, fetch, latency, memory)


class BenchOptions(msgspec.Struct, frozen=True):
    """What the user chose."""

    events: int
    """Of a backlog, about."""
    runs: int
    only: tuple[str, ...]
    """Names of measurements; empty: all."""
    large: bool
    """Whether growth is measured with ten million rows too."""
    json_file: Path | None


def run_bench(options: BenchOptions, environ: Mapping[str, str]) -> None:
    """Measure, and print the table. Blocks for minutes.

    Raises:
        Fatal: something is missing on this machine, does not start, or does not get done.

    """
    clock, stop = SystemClock(), Stop()
    # What librdkafka says of coordinators that are still loading is of no use here.
    logs.configure("bench", level="CRITICAL", redaction=logs.Redaction(secrets.token_bytes(32)))
    # Embedded servers only: nothing that the environment says of real ones may reach what is measured.
    own = {name: value for name, value in environ.items() if not is_ours(name)}
    try:
        with temporary_folder("mailriver-bench") as data, _Progress(clock) as progress:
            progress.say("starting Kafka and Postgres")
            with Stack(data, own, progress.say) as stack:
                world = World(
                    data,
                    stack.start_servers(),
                    own,
                    clock=clock,
                    stop=stop.event,
                    events=options.events,
                    runs=options.runs,
                    large=options.large,
                )
                rows = rows_of(_samples(world, options, progress))
    except (bare_kafka.FAULT, psycopg.Error, httpx.HTTPError) as error:
        raise Fatal(f"a measurement failed: {type(error).__name__}: {error}") from error
    finally:
        stop.restore()
    _report(rows, options, clock)


def _samples(world: World, options: BenchOptions, progress: _Progress) -> Iterator[Sample]:
    for name in (each for each in NAMES if not options.only or each in options.only):
        with ExitStack() as exits:
            progress.say(f"{name}: preparing")
            measure = _measure(name, world, exits)
            for number in range(1, options.runs + 1):
                world.go_on()
                progress.say(f"{name}: run {number} of {options.runs}")
                yield from measure()


def _measure(name: str, world: World, exits: ExitStack) -> Measure:
    """One run of a measurement; what it keeps from run to run is let go by ``exits``."""
    if name == "growth":
        growth = Growth(world)
        exits.callback(growth.close)
        return growth.measure
    module = next(each for each in _MODULES if each.__name__.endswith(f".{name}"))
    if name in ("storage", "processor", "pipeline", "memory"):
        world.prepare()
    return lambda: module.measure(world)


def _report(rows: list[Row], options: BenchOptions, clock: Clock) -> None:
    date = f"{datetime.fromtimestamp(clock.now(), UTC):%Y-%m-%d}"
    about = {"date": date, "cores": os.cpu_count(), "python": platform.python_version()}
    title = f"{options.events:,} events, {options.runs} runs, {about['cores']} cores, Python {about['python']}, {date}"
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH  # a file or a pipe has none
    console.print(table_of(rows, title))
    for row in rows:
        if row.figure.floor:
            console.print(f"{row.figure.title}: the floor is {row.figure.floor}", highlight=False, soft_wrap=True)
    if options.json_file is not None:
        options.json_file.write_bytes(json_of(rows, **about, events=options.events, runs=options.runs))


class _Progress:
    """What is being done now, on stderr: a line that moves on a terminal, plain lines elsewhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock.monotonic()
        self._console = Console(stderr=True)
        self._status = self._console.status("") if self._console.is_terminal else None

    def say(self, line: str) -> None:
        """Tell what is being done."""
        if self._status is not None:
            self._status.update(line)
        else:
            seconds = self._clock.monotonic() - self._began
            self._console.print(f"{seconds:.0f} s: {line}", highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
