"""`mailriver audit`: every stored counter against a recount."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from services.cli.context import fail, settings_of
from services.runtime.errors import MailriverError

if TYPE_CHECKING:
    from services.storage.core.audit import Drift, Step, Summary

_SHOWN = 20


@click.command()
@click.option("--repair", is_flag=True, help="Write the recount down, each step in one short transaction.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that was found, as JSON.")
def audit(*, repair: bool, as_json: bool) -> None:
    """Recount every counter that is stored; exit 1 for drift that was not repaired.

    Runs beside everything that writes. With --repair others wait while a row that is wrong is recounted, 20 s at most.
    """
    from services.runtime.clock import SystemClock
    from services.runtime.lifecycle import Stop
    from services.runtime.settings import DatabaseSettings
    from services.storage.adapters.audit import Auditor
    from services.storage.core.audit import Summary

    dsn = settings_of(DatabaseSettings).database_url.get_secret_value()
    clock, stop = SystemClock(), Stop()
    summary = Summary()
    drifts: list[Drift] = []
    began_at = datetime.fromtimestamp(clock.now(), UTC)
    try:
        with Auditor(dsn) as auditor:
            for step in _shown(auditor.steps(repair=repair), auditor.size()):
                summary = summary.after(step)
                drifts += step.drifts if as_json else step.drifts[: _SHOWN - len(drifts)]
                if stop.event.is_set():
                    fail(MailriverError(f"stopped; rows audited {summary.rows} so far, drift {summary.drifted}"))
            auditor.record(began_at, datetime.fromtimestamp(clock.now(), UTC), summary)
    except MailriverError as error:
        fail(error)
    finally:
        stop.restore()
    (_print_json if as_json else _print)(summary, drifts, repair=repair)
    sys.exit(1 if summary.left else 0)


def _shown(steps: Iterable[Step], size: int) -> Iterator[Step]:
    """The steps, with their progress on stderr."""
    from services.cli.progress import progress

    with progress("rows audited", size) as advance:
        for step in steps:
            advance(step.rows)
            yield step


def _print_json(summary: Summary, drifts: list[Drift], *, repair: bool) -> None:  # noqa: ARG001 - as _print
    import msgspec

    click.echo(msgspec.json.encode({**msgspec.structs.asdict(summary), "drifts": drifts}))
    _print_last(summary, to_stderr=True)


def _print(summary: Summary, drifts: list[Drift], *, repair: bool) -> None:
    for drift in drifts:
        end = " (repaired)" if drift.repaired else ""
        click.echo(f"{drift.table} {drift.id}: {drift.counter} is {drift.stored}, recounted {drift.recounted}{end}")
    if summary.drifted and len(drifts) >= _SHOWN:
        click.echo("and so on; all of them with --json")
    if summary.left:
        click.echo(_advice(summary, repair=repair), err=True)
    _print_last(summary, to_stderr=False)


def _advice(summary: Summary, *, repair: bool) -> str:
    if repair:
        return f"{summary.left} rows can only be mended from the events: run `mailriver rebuild`"
    return "run `mailriver audit --repair`, and see in the log of the database who else writes what Mailriver counts"


def _print_last(summary: Summary, *, to_stderr: bool) -> None:
    if summary.repaired:
        click.echo(f"rows repaired {summary.repaired}", err=to_stderr)
    click.echo(f"rows audited {summary.rows}, drift {summary.drifted}", err=to_stderr)
