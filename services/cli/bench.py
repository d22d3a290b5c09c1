"""`mailriver bench`: what the services reach on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.context import environ, fail
from services.runtime.errors import MailriverError
from services.sandbox.bench import NAMES


@click.command()
@click.option("--events", default=200_000, show_default=True, type=click.IntRange(1_000), help="Of a backlog, about.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 10), help="Of each measurement.")
@click.option("--only", multiple=True, metavar="NAME", type=click.Choice(NAMES), help=f"Of {', '.join(NAMES)}; again.")
@click.option("--large", is_flag=True, help="Growth with 10 million recipients too: half an hour, 20 GB.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write all of it here."
)
def bench(events: int, runs: int, only: tuple[str, ...], *, large: bool, json_file: Path | None) -> None:
    """Measure the services on embedded servers, each figure beside a floor of the same run.

    Aims that are not met are no failure: exit 1 only if something could not be measured.
    """
    from services.sandbox.bench.run import BenchOptions, run_bench

    try:
        run_bench(BenchOptions(events=events, runs=runs, only=only, large=large, json_file=json_file), environ())
    except (MailriverError, OSError) as error:
        fail(error)
