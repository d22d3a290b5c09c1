"""Loops and schedules on a terminal, or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table

from services.console.adapters.fetch_topics import FetchTopics
from services.console.core.board import FIRST, Page, listing
from services.console.core.loops import LoopRow
from services.console.core.schedules import DONE, FAILED, ScheduleRow, schedule_row
from services.runtime.clock import SystemClock, micros

_ALL = 1_000_000
_COLOURS = {"running": "green", "backing_off": "yellow", "failed": "red", "done": "green", "canceled": "yellow"}
_BAR_CELLS = 12
_FILE_WIDTH = 160


def show(fetch_topics: FetchTopics, *, as_json: bool) -> None:
    """Print everything once, on stdout."""
    _print(fetch_topics, _console(), as_json=as_json)


def watched(fetch_topics: FetchTopics, *, as_json: bool, seconds: float) -> None:
    """Print everything, and again with each change, until interrupted; lags move on a terminal in between."""
    console = _console()
    if console.is_terminal and not as_json:
        with Live(console=console, auto_refresh=False, screen=False) as live:
            while True:
                live.update(_picture(_everything(fetch_topics)), refresh=True)
                fetch_topics.wait_changed(fetch_topics.version, seconds)
    while True:
        version = fetch_topics.version
        _print(fetch_topics, console, as_json=as_json)
        while not fetch_topics.wait_changed(version, seconds):
            pass


def waited(fetch_topics: FetchTopics, ids: Sequence[str]) -> bool:
    """Wait until all these schedules have ended, with a bar each on a terminal; True if all are done. Blocks."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars = {name: progress.add_task(name, total=1.0, said="queued") for name in ids}
        while True:
            version = fetch_topics.version
            rows = [_row(fetch_topics, name) for name in ids]
            for row in rows:
                if row is not None:
                    progress.update(bars[row.id], completed=row.progress, said=_said(row))
            if all(row is not None and (row.ended or row.state == FAILED) for row in rows):
                return all(row is not None and row.state == DONE for row in rows)
            fetch_topics.wait_changed(version, 1.0)


def _console() -> Console:
    """Standard output; where it is no terminal, nothing need be squeezed."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _row(fetch_topics: FetchTopics, schedule_id: str) -> ScheduleRow | None:
    found = fetch_topics.find(schedule_id)
    return None if found is None else schedule_row(schedule_id, found, micros(SystemClock()))


def _said(row: ScheduleRow) -> str:
    left = "" if row.remaining_seconds is None or row.ended else f", {row.remaining_seconds:.0f} s left"
    return f"{row.state}, {row.events:,} events{left}" + (f"; {row.last_error}" if row.last_error else "")


def _everything(fetch_topics: FetchTopics) -> Page:
    return fetch_topics.page(FIRST, _ALL)


def _print(fetch_topics: FetchTopics, console: Console, *, as_json: bool) -> None:
    page = _everything(fetch_topics)
    if as_json:
        click.echo(msgspec.json.encode(listing(page, fetch_topics.known_at)).decode())
    else:
        console.print(_picture(page))


def _picture(page: Page) -> Any:
    parts: list[Any] = [_loops(page.loops)]
    if page.schedules:
        parts.append(_schedules(page.schedules))
    return Group(*parts)


def _loops(rows: Sequence[LoopRow]) -> Table:
    table = _table("Loops" if rows else "No loop has run yet", "domain", "loop", "state")
    _numbers(table, "lag", "fetched through", "events")
    table.add_column("last error", overflow="fold")
    for row in rows:
        table.add_row(
            row.domain,
            row.loop,
            _coloured(row.state),
            f"{row.lag_seconds:,.1f} s",
            row.fetched_through or "",
            f"{row.events_total:,}",
            _plain(row.last_error),
        )
    return table


def _schedules(rows: Sequence[ScheduleRow]) -> Table:
    table = _table("Scheduled fetches", "id", "domain", "range", "state", "progress")
    _numbers(table, "events", "left")
    table.add_column("last error", overflow="fold")
    for row in rows:
        table.add_row(
            row.id,
            row.domain,
            f"{row.begin}\n{row.end}",
            _coloured(row.state),
            Group(ProgressBar(total=1.0, completed=row.progress, width=_BAR_CELLS), f"{row.progress:.0%}"),
            f"{row.events:,}",
            "" if row.remaining_seconds is None else f"{row.remaining_seconds:,.0f} s",
            _plain(row.last_error),
        )
    return table


def _table(title: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        # An id is there to be copied: it is never cut.
        table.add_column(name, no_wrap=name in ("id", "state", "range"), overflow="fold")
    return table


def _numbers(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state


def _plain(text: str | None) -> str:
    """A text of others, in which brackets are no markup."""
    return (text or "").replace("[", r"\[")
