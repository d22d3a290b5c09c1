"""`mailriver rebuild`: the events that Kafka still has, applied again."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import click

from services.cli.context import configure_logs, fail, kafka_admin, settings_of
from services.runtime.errors import MailriverError

if TYPE_CHECKING:
    from threading import Event

    from services.runtime.clock import Clock
    from services.storage.adapters.runs import Run
    from services.storage.rebuild import Rebuild
    from services.storage.settings import StorageSettings


@click.command()
@click.option("--restart", is_flag=True, help="Begin anew, though an earlier rebuild was interrupted.")
def rebuild(*, restart: bool) -> None:
    """Apply all of email.events again, up to its present end: the way back after a restored backup.

    Harmless beside a running storage: what is there already stays as it is and is not counted again. If it is
    interrupted, the same command goes on; exit 1 until it has come to its end.
    """
    from services.contracts.registry import IncompatibleSchema, RegistryUnavailable
    from services.runtime.clock import SystemClock
    from services.runtime.lifecycle import Stop
    from services.storage.settings import StorageSettings

    settings = settings_of(StorageSettings)
    # Each log line would tear the progress; what matters is at least a warning.
    configure_logs(
        "storage", settings.model_copy(update={"log_level": "ERROR" if settings.log_level == "ERROR" else "WARNING"})
    )
    kafka_admin(settings)
    stop = Stop()
    try:
        _rebuild(settings, SystemClock(), stop.event, restart=restart)
    except (MailriverError, IncompatibleSchema, RegistryUnavailable) as error:
        fail(error)
    finally:
        stop.restore()


def _rebuild(settings: StorageSettings, clock: Clock, stop: Event, *, restart: bool) -> None:
    from services.contracts import topics
    from services.runtime.codecs import codec_for
    from services.storage.adapters.runs import Runs
    from services.storage.rebuild import Rebuild

    topic = topics.prefixed(settings.topic_prefix, topics.EMAIL_EVENTS)
    with Runs(settings.database_url.get_secret_value(), topic) as runs:
        run = runs.begin(uuid.uuid4().hex[:12], restart=restart)
        if not run.is_new:
            click.echo(f"going on with the rebuild that was begun at {run.began_at:%Y-%m-%d %H:%M} UTC", err=True)
        job = Rebuild(settings, codec_for(settings.schema_registry_url), run.id, clock, stop)
        began = clock.monotonic()
        try:
            _to_the_end(job, stop)
        finally:
            job.close()
        if job.goal.is_reached:
            runs.end(run)
    _report(job, run, clock.monotonic() - began)


def _to_the_end(job: Rebuild, stop: Event) -> None:
    from services.cli.progress import progress

    with progress("events applied again", job.goal.size) as advance:
        shown = 0
        while not job.goal.is_reached and not stop.is_set():
            job.step()
            advance(job.goal.done - shown)
            shown = job.goal.done


def _report(job: Rebuild, run: Run, seconds: float) -> None:
    if not job.goal.is_reached:
        fail(
            MailriverError(
                f"stopped after {job.goal.done} of {job.goal.size}; `mailriver rebuild` goes on from there, "
                "with --restart it begins anew"
            )
        )
    since = "" if run.is_new else " since it was interrupted"
    click.echo(
        f"events applied {job.events}{since}, dead letters {job.dead}, {seconds:.1f} s, {job.events / seconds:.0f}/s"
    )
