"""The commands about the fetcher's loops: what they do, and what they are ordered to do. They need no console."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from services.cli.context import KAFKA_SECONDS, fail, kafka_admin, settings_of
from services.runtime.errors import MailriverError, Transient
from services.runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from services.console.adapters.commands import Commands
    from services.console.adapters.fetch_topics import FetchTopics
    from services.console.core.schedules import Order

_WATCH_SECONDS = 1.0


@click.command("loops")
@click.option("--json", "as_json", is_flag=True, help="What GET /api/loops gives, all of it.")
@click.option("--watch", is_flag=True, help="Follow the changes until Ctrl-C.")
def show_loops(*, as_json: bool, watch: bool) -> None:
    """Show every loop and every scheduled fetch."""
    from services.cli.loops_view import show, watched

    settings = settings_of(KafkaSettings)
    with _followed(settings) as fetch_topics:
        if watch:
            watched(fetch_topics, as_json=as_json, seconds=_WATCH_SECONDS)
        else:
            show(fetch_topics, as_json=as_json)


# Without -h, which would be found in `-2h`.
@click.command("schedule", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("begin")
@click.argument("end")
@click.option("--domain", "domains", multiple=True, help="Whose events; may be left out if there is only one.")
@click.option("--event", "event_types", multiple=True, metavar="TYPE", help="Only of this type; all if left out.")
@click.option("--wait", is_flag=True, help="Wait for the end: exit 0 if it is done, 1 if it failed or was canceled.")
def schedule(begin: str, end: str, domains: tuple[str, ...], event_types: tuple[str, ...], *, wait: bool) -> None:
    """Order a fetch of the events in [BEGIN, END) and print its id.

    BEGIN and END are times in ISO 8601 with their zone (2026-01-31T12:00:00Z), `now`, or so long ago: -90s, -30m, -2h,
    -1d.
    """
    from services.console.core.schedules import warning_of
    from services.console.settings import OrderSettings
    from services.runtime.clock import SystemClock, micros

    settings = settings_of(OrderSettings)
    now = micros(SystemClock())
    orders = _orders(settings.mailgun_domains, domains, begin, end, event_types, now)
    if warning := warning_of(orders[0], now, settings.mailgun_retention_hours):
        click.echo(f"mailriver: {warning}", err=True)
    with _commands(settings) as commands:
        ids = []
        for order in orders:
            ids.append(commands.schedule(order).schedule_id)
            click.echo(ids[-1])
    if wait:
        from services.cli.loops_view import waited

        with _followed(settings) as fetch_topics:
            sys.exit(0 if waited(fetch_topics, ids) else 1)


@click.command("cancel")
@click.argument("schedule_id", metavar="ID")
def cancel(schedule_id: str) -> None:
    """Stop a scheduled fetch; exit 1 if there is none of this id, or if it has ended."""
    from services.console.core.schedules import ENDED

    settings = settings_of(KafkaSettings)
    with _followed(settings) as fetch_topics, _commands(settings) as commands:
        found = fetch_topics.find(schedule_id)
        if found is None:
            fail(MailriverError(f"{schedule_id}: there is no such schedule; `mailriver loops` lists them"))
        if found.status in ENDED:
            fail(MailriverError(f"{schedule_id}: it has ended already: {found.status}"))
        commands.cancel(schedule_id, found.domain)
    click.echo(f"{schedule_id} is told to stop")


def _orders(
    known: tuple[str, ...], wanted: tuple[str, ...], begin: str, end: str, event_types: tuple[str, ...], now: int
) -> list[Order]:
    """The orders for the domains that are wanted; ends the command (exit 2) where they are not right."""
    from services.console.core.requests import BadRequest
    from services.console.core.schedules import ScheduleRequest, moment_of, order_of

    if not wanted and len(known) > 1:
        raise click.UsageError(f"--domain: there are several, name one or more of {', '.join(known)}")
    types = list(event_types) or None
    try:
        first, last = moment_of("begin", begin, now), moment_of("end", end, now)
        requests = [ScheduleRequest(domain, first, last, types) for domain in wanted or known]
        return [order_of(request, known, now) for request in requests]
    except BadRequest as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def _followed(settings: KafkaSettings) -> Iterator[FetchTopics]:
    """All that is known of loops and schedules; ends the command (exit 1) where Kafka does not tell."""
    from services.console.adapters.fetch_topics import WORKER, FetchTopics, fetch_topics_of
    from services.runtime import logs
    from services.runtime.bus.config import KafkaConfig
    from services.runtime.bus.follower import Follower
    from services.runtime.clock import SystemClock
    from services.runtime.codecs import codec_for
    from services.runtime.health import Health

    kafka_admin(settings)
    logs.configure("cli", level="CRITICAL", redaction=logs.Redaction(secrets.token_bytes(32)))
    clock, config = SystemClock(), KafkaConfig.of(settings)
    health = Health(clock, dependencies=("kafka",), workers=(WORKER,))
    fetch_topics = FetchTopics(
        lambda on_error: Follower(config, fetch_topics_of(settings.topic_prefix), on_error=on_error),
        codec_for(settings.schema_registry_url),
        settings.topic_prefix,
        health=health,
        clock=clock,
        random=lambda: 0.0,
    )
    fetch_topics.start()
    try:
        if not fetch_topics.wait_caught_up(KAFKA_SECONDS):
            fail(Transient(health.ready().get("kafka", f"Kafka did not answer within {KAFKA_SECONDS:g} s")))
        yield fetch_topics
    except MailriverError as error:
        fail(error)
    finally:
        fetch_topics.close()


@contextmanager
def _commands(settings: KafkaSettings) -> Iterator[Commands]:
    """Where commands are written; ends the command (exit 1) where Kafka does not take them."""
    from services.console.adapters.commands import commands_of
    from services.runtime import logs
    from services.runtime.bus.config import KafkaConfig
    from services.runtime.clock import SystemClock
    from services.runtime.codecs import codec_for

    kafka_admin(settings)
    logs.configure("cli", level="CRITICAL", redaction=logs.Redaction(secrets.token_bytes(32)))
    commands = commands_of(
        KafkaConfig.of(settings), codec_for(settings.schema_registry_url), settings.topic_prefix, SystemClock()
    )
    try:
        yield commands
    except MailriverError as error:
        fail(error)
    finally:
        commands.close()
