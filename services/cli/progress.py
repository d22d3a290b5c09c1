"""The progress of long work on stderr: a bar with the remaining time on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typing_extensions import override

from services.runtime.clock import Clock, SystemClock

_LINE_SECONDS = 5.0
Advance = Callable[[int], None]


@contextmanager
def progress(what: str, size: int, *, console: Console | None = None, clock: Clock | None = None) -> Iterator[Advance]:
    """Show how much of about ``size`` is done; what is given is called with what has been done since the last call."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what, size, console, clock or SystemClock()).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=size)
        yield lambda count: bar.advance(task, count)


class _Speed(ProgressColumn):
    """How many a second."""

    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


class _Lines:
    """A line every few seconds."""

    def __init__(self, what: str, size: int, console: Console, clock: Clock) -> None:
        self._what, self._size, self._console, self._clock = what, size, console, clock
        self._began = self._said = clock.monotonic()
        self._done = 0

    def advance(self, count: int) -> None:
        self._done += count
        now = self._clock.monotonic()
        if now - self._said < _LINE_SECONDS:
            return
        self._said = now
        speed = self._done / (now - self._began)
        left = max(0, self._size - self._done) / speed if speed else 0.0
        self._console.print(
            f"{self._what}: {self._done:,} of about {max(self._size, self._done):,}, {speed:,.0f}/s, "
            f"about {left:,.0f} s left",
            highlight=False,
            soft_wrap=True,
        )
