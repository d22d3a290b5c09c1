"""The command line. Exit codes: 0 done, 1 failed, 2 used wrongly.

What a command needs is imported when it runs, so that ``--help`` is quick and a service loads no sandbox.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from services.cli import loops
from services.cli.audit import audit
from services.cli.bench import bench
from services.cli.context import KAFKA_SECONDS, configure_logs, environ, fail, kafka_admin, refuse, settings_of
from services.cli.dlq import dlq
from services.cli.rebuild import rebuild
from services.runtime.errors import MailriverError, SettingsError
from services.runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from services.fetcher.settings import FetcherSettings
    from services.processor.settings import ProcessorSettings
    from services.storage.settings import StorageSettings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailriver")
def cli() -> None:
    """Every event that Mailgun reports, through Kafka into Postgres: none lost, none counted twice.

    Settings are environment variables; `mailriver config` prints those in force.
    """


for command in (loops.show_loops, loops.schedule, loops.cancel, dlq, audit, rebuild, bench):
    cli.add_command(command)


@cli.group()
def run() -> None:
    """Run one service until it is told to stop (SIGTERM or Ctrl-C)."""


@run.command("fetcher")
def run_fetcher() -> None:
    """Poll Mailgun on its loops and publish raw events."""
    from services.fetcher.app import DEPENDENCIES, WORKER, build
    from services.fetcher.settings import FetcherSettings

    settings = settings_of(FetcherSettings)
    configure_logs("fetcher", settings)
    within = max(60.0, 3 * settings.fetch_interval_seconds)
    _serve("fetcher", settings, build, DEPENDENCIES, WORKER, within)


@run.command("processor")
def run_processor() -> None:
    """Resolve raw events and emit typed ones."""
    from services.processor.app import DEPENDENCIES, build
    from services.processor.settings import ProcessorSettings
    from services.runtime.worker import WORKER

    settings = settings_of(ProcessorSettings)
    configure_logs("processor", settings)
    _serve("processor", settings, build, DEPENDENCIES, WORKER)


@run.command("storage")
def run_storage() -> None:
    """Apply typed events to Postgres."""
    from services.runtime.worker import WORKER
    from services.storage.app import DEPENDENCIES, build
    from services.storage.settings import StorageSettings

    settings = settings_of(StorageSettings)
    configure_logs("storage", settings)
    _serve("storage", settings, build, DEPENDENCIES, WORKER)


@run.command("console")
def run_console() -> None:
    """Serve the page and its API."""
    from services.console.app import run as serve
    from services.console.settings import ConsoleSettings
    from services.runtime.codecs import codec_for

    settings = settings_of(ConsoleSettings)
    configure_logs("console", settings)
    kafka_admin(settings)
    sys.exit(serve(settings, codec_for(settings.schema_registry_url)))


def _serve(
    service: str,
    settings: FetcherSettings | ProcessorSettings | StorageSettings,
    build: Callable[..., Any],
    dependencies: tuple[str, ...],
    worker: str,
    within: float = 60.0,
) -> NoReturn:
    from services.runtime import lifecycle
    from services.runtime.codecs import codec_for

    kafka_admin(settings)  # faults in the properties file are told before anything starts
    sys.exit(
        lifecycle.run(
            service,
            settings,
            lambda chassis: build(settings, codec_for(settings.schema_registry_url), chassis),
            dependencies=dependencies,
            workers=(worker,),
            use_within=within,
        )
    )


@cli.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    from services.runtime.settings import DatabaseSettings
    from services.storage.adapters import migrations

    settings = settings_of(DatabaseSettings)
    try:
        applied = migrations.migrate(settings.database_url.get_secret_value(), report=click.echo)
    except MailriverError as error:
        fail(error)
    click.echo(f"{len(applied)} migrations applied, schema version {migrations.expected_version()}")


@cli.command()
def config() -> None:
    """Print every setting as it is in force, secrets hidden; exit 2 if one that is given is wrong."""
    from services.runtime.settings import overview

    lines, faults = overview(environ())
    for line in lines.values():
        click.echo(line)
    if faults:
        refuse(SettingsError(faults))


@cli.group()
def topics() -> None:
    """Create or check Kafka's topics, as declared in schemas/topics."""


@topics.command("create")
@click.option("--replication-factor", type=click.IntRange(1), help="Copies of each partition; the broker's default.")
def topics_create(replication_factor: int | None) -> None:
    """Create the topics that are missing; those that exist are left as they are."""
    _topics(lambda admin, specs, prefix: _created(admin, specs, prefix, replication_factor))


@topics.command("check")
def topics_check() -> None:
    """Compare the topics with their declarations; exit 1 for a difference."""
    _topics(_checked)


def _created(admin: Any, specs: Any, prefix: str, replication_factor: int | None) -> list[str]:
    from services.runtime import topics_admin

    result = topics_admin.create(admin, specs, prefix, replication_factor, timeout=KAFKA_SECONDS)
    for name in result.created:
        click.echo(f"created {name}")
    return list(result.differences)


def _checked(admin: Any, specs: Any, prefix: str) -> list[str]:
    from services.runtime import topics_admin

    return topics_admin.check(admin, specs, prefix, timeout=KAFKA_SECONDS)


def _topics(action: Callable[[Any, Any, str], list[str]]) -> None:
    from services.runtime import resources

    settings = settings_of(KafkaSettings)
    admin = kafka_admin(settings)
    try:
        differences = action(admin, resources.topic_specs(), settings.topic_prefix)
    except MailriverError as error:
        fail(error)
    for difference in differences:
        click.echo(difference, err=True)
    sys.exit(1 if differences else 0)


@cli.group()
def schemas() -> None:
    """Check the Avro schemas, or register them."""


@schemas.command("check")
def schemas_check() -> None:
    """Check every schema against its history, both ways; exit 1 for a problem."""
    from services.runtime import resources, schema_check

    problems = schema_check.problems(resources.schema_files())
    for problem in problems:
        click.echo(problem, err=True)
    click.echo("schemas: " + (f"{len(problems)} problems" if problems else "compatible with their history"))
    sys.exit(1 if problems else 0)


@schemas.command("register")
def schemas_register() -> None:
    """Register every schema with the registry at SCHEMA_REGISTRY_URL; those it has already stay as they are."""
    from services.contracts.registry import IncompatibleSchema, RegistryUnavailable, UnknownSchema
    from services.runtime import schema_check
    from services.runtime.codecs import confluent_registry
    from services.runtime.settings import RegistrySettings

    url = settings_of(RegistrySettings).schema_registry_url
    if url is None:
        refuse(SettingsError(["SCHEMA_REGISTRY_URL: is missing; set it to the registry's URL"]))
    try:
        with confluent_registry(url) as registry:
            for line in schema_check.register(registry):
                click.echo(line)
    except (IncompatibleSchema, RegistryUnavailable, UnknownSchema, MailriverError) as error:
        fail(error)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8025, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A YAML file.")
@click.option(
    "--recipients", default=0, show_default=True, type=click.IntRange(0), help="Send a newsletter to so many."
)
@click.option("--seed", default=1, show_default=True, type=int, help="Of the newsletter.")
def simulator(host: str, port: int, scenario: Path | None, recipients: int, seed: int) -> None:
    """Run the Mailgun simulator: Mailgun's Events API on this machine."""
    from services.sandbox.simulate import serve

    try:
        serve(host=host, port=port, scenario_file=scenario, recipients=recipients, seed=seed, say=click.echo)
    except (MailriverError, ValueError) as error:
        fail(error)


@cli.command()
@click.option("--recipients", default=20_000, show_default=True, type=click.IntRange(1), help="Of the newsletter.")
@click.option("--seed", default=1, show_default=True, type=int, help="The same seed sends the same newsletter.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1), help="How long its events take.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the servers' data here.")
def demo(recipients: int, seed: int, seconds: float, keep: Path | None) -> None:
    """Send a newsletter through embedded servers and compare Postgres with what really happened."""
    from services.sandbox.demo import DemoOptions, run_demo

    try:
        code = run_demo(DemoOptions(recipients=recipients, seed=seed, seconds=seconds, keep=keep), environ())
    except SettingsError as error:
        refuse(error)
    except MailriverError as error:
        fail(error)
    sys.exit(code)


@cli.command()
@click.option("--recipients", default=2_000, show_default=True, type=click.IntRange(1), help="Of each newsletter.")
@click.option(
    "--every", default=120.0, show_default=True, type=click.FloatRange(5), help="Seconds between newsletters."
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the servers' data here.")
def up(recipients: int, every: float, data: Path | None) -> None:
    """Keep servers and services running on this machine; real ones where the environment names them."""
    from services.sandbox.up import UpOptions, run_up

    try:
        code = run_up(UpOptions(recipients=recipients, every=every, data=data), environ())
    except SettingsError as error:
        refuse(error)
    except MailriverError as error:
        fail(error)
    sys.exit(code)


def main() -> None:
    """The entry point ``mailriver``."""
    cli(prog_name="mailriver")
