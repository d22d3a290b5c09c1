"""Shows a running flow: a live table on a terminal, plain lines where there is none."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from services.sandbox.scrape import Flow


def counted(number: float) -> str:
    """A number with its thousands apart."""
    return f"{number:,.0f}"


def flow_table(flow: Flow, note: str) -> Table:
    """The stages side by side."""
    table = Table(title=note, title_justify="left", expand=False)
    for name in ("sent", "fetched", "resolved", "stored"):
        table.add_column(name, justify="right", min_width=11)
    table.add_row(*(counted(number) for number in (flow.sent, flow.fetched, flow.resolved, flow.stored)))
    table.add_row("", *(behind(lag) for lag in (flow.fetcher_lag, flow.processor_lag, flow.storage_lag)))
    return table


def flow_line(flow: Flow, note: str) -> str:
    """The same in a line."""
    return (
        f"{note}: sent {counted(flow.sent)}, fetched {counted(flow.fetched)} ({behind(flow.fetcher_lag)}), "
        f"resolved {counted(flow.resolved)} ({behind(flow.processor_lag)}), "
        f"stored {counted(flow.stored)} ({behind(flow.storage_lag)})"
    )


def behind(lag: float | None) -> str:
    """A lag in words."""
    return "lag not known" if lag is None else f"{lag:.1f} s behind"


class FlowDisplay:
    """A context in which the flow is shown each time it is told."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._last = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def show(self, flow: Flow, note: str) -> None:
        """Show the flow; where lines are written, only what has changed."""
        if self._live:
            self._live.update(flow_table(flow, note))
            return
        line = flow_line(flow, note)
        if line != self._last:
            self._last = line
            self._console.print(line, highlight=False, soft_wrap=True)
