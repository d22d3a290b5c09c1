"""The progress of long work."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from services.cli.progress import progress
from tests.support.clock import HeldClock


def test_without_a_terminal_it_is_a_line_now_and_then() -> None:
    """With what is left, from the speed so far."""
    out, clock = StringIO(), HeldClock()
    with progress("rows audited", 4_000, console=Console(file=out), clock=clock) as advance:
        advance(500)
        clock.move(4)
        advance(500)
        assert out.getvalue() == ""
        clock.move(1)
        advance(0)
        clock.move(2)
        advance(3_500)
        clock.move(5)
        advance(500)
    assert out.getvalue().splitlines() == [
        "rows audited: 1,000 of about 4,000, 200/s, about 15 s left",
        "rows audited: 5,000 of about 5,000, 417/s, about 0 s left",
    ]


def test_on_a_terminal_it_is_a_bar_with_speed_and_remaining_time() -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with progress("rows audited", 100, console=console) as advance:
        advance(40)
        advance(60)
    assert "100/100" in out.getvalue()
    assert "/s" in out.getvalue()
