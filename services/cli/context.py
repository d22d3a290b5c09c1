"""What every command begins and ends with: the settings, the logs, the client, the exit code."""

from __future__ import annotations

import os
import secrets
import sys
from typing import Any, NoReturn, TypeVar

import click

from services.runtime import logs
from services.runtime.errors import SettingsError
from services.runtime.settings import KafkaSettings, LogSettings, Settings, load

KAFKA_SECONDS = 15.0
"""How long a question to Kafka may take before the command gives up."""

S = TypeVar("S", bound=Settings)


def environ() -> dict[str, str]:
    """The environment as it is."""
    return dict(os.environ)  # noqa: TID251 - composition root


def settings_of(kind: type[S]) -> S:
    """The settings from the environment; with faults, all of them on stderr and exit 2."""
    try:
        return load(kind, environ())
    except SettingsError as error:
        refuse(error)


def refuse(error: SettingsError) -> NoReturn:
    """End as one that was used wrongly: every fault on stderr, exit 2."""
    for fault in error.faults:
        click.echo(f"mailriver: {fault}", err=True)
    sys.exit(2)


def fail(error: Exception) -> NoReturn:
    """End as one that failed: the error on stderr, exit 1."""
    click.echo(f"mailriver: {error}", err=True)
    sys.exit(1)


def configure_logs(service: str, settings: LogSettings) -> None:
    """Structured logs on stdout, without secrets and addresses."""
    from services.runtime.settings import secret_texts

    key = settings.log_hash_key
    redaction = logs.Redaction(
        key.get_secret_value().encode() if key else secrets.token_bytes(32), secret_texts(settings)
    )
    logs.configure(service, level=settings.log_level, redaction=redaction)


def kafka_admin(settings: KafkaSettings) -> Any:
    """An admin client of a Kafka that answers; if it does not, the command ends with what is wrong."""
    from services.runtime.bus.check import check
    from services.runtime.bus.config import KafkaConfig
    from services.runtime.bus.metadata import admin_client

    try:
        config = KafkaConfig.of(settings)
        check(config)
        return admin_client(config)
    except SettingsError as error:
        refuse(error)
