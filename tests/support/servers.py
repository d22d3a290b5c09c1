"""The servers that tests run on: existing ones that the environment names, else embedded ones."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import msgspec

from services.sandbox import databases
from services.sandbox.kafka import EmbeddedKafka
from services.sandbox.postgres import EmbeddedPostgres

_PREFIXES = ("MAILGUN_", "FETCH_", "CONSOLE_", "KAFKA_", "PROCESSOR_", "STORAGE_", "DLQ_", "LOG_", "PG")
_NAMES = ("DATABASE_URL", "TEST_DATABASE_URL", "SCHEMA_REGISTRY_URL", "TOPIC_PREFIX", "HTTP_HOST", "HTTP_PORT")


class Existing(msgspec.Struct, frozen=True):
    """Servers that are there already; None: start one."""

    bootstrap: str | None
    database_url: str | None


class KafkaServer(Protocol):
    """A broker."""

    @property
    def bootstrap(self) -> str:
        """Its address, as clients want it."""


class PostgresServer(Protocol):
    """A database server, where databases may be made."""

    @property
    def dsn(self) -> str:
        """The address of one of its databases, as a URL."""


class ExistingKafka(msgspec.Struct, frozen=True):
    """A broker that somebody else has started."""

    bootstrap: str


class ExistingPostgres(msgspec.Struct, frozen=True):
    """A server that somebody else has started."""

    dsn: str


def take_environment(environ: MutableMapping[str, str]) -> Existing:
    """What the environment says of existing servers; takes it and every setting of Mailriver out of the environment."""
    database_url = environ.get("TEST_DATABASE_URL") or environ.get("DATABASE_URL")
    existing = Existing(environ.get("KAFKA_BOOTSTRAP_SERVERS") or None, database_url or None)
    for name in list(environ):
        if name.startswith(_PREFIXES) or name.removesuffix("_FILE") in _NAMES:
            del environ[name]
    return existing


@contextmanager
def kafka_server(existing: Existing, folder: Path, libs: Path) -> Iterator[KafkaServer]:
    """The existing broker, or an embedded one for as long as this lasts."""
    if existing.bootstrap is not None:
        yield ExistingKafka(existing.bootstrap)
        return
    with EmbeddedKafka(folder, libs=libs) as server:
        yield server


@contextmanager
def postgres_server(existing: Existing, folder: Path) -> Iterator[PostgresServer]:
    """The existing server, or an embedded one for as long as this lasts."""
    if existing.database_url is not None:
        yield ExistingPostgres(existing.database_url)
        return
    server = EmbeddedPostgres(folder)
    try:
        with server:
            yield server
    finally:
        server.remove()


@contextmanager
def temporary_database(server: PostgresServer, template: str | None = None) -> Iterator[str]:
    """The address of a database of its own, dropped at the end."""
    name = f"test_{uuid4().hex}"
    url = databases.create_database(server.dsn, name, template=template)
    try:
        yield url
    finally:
        databases.drop_database(server.dsn, name)
