"""Servers for the tests that need real ones; no setting of the caller's reaches any test.

``KAFKA_BOOTSTRAP_SERVERS`` and ``TEST_DATABASE_URL`` (or ``DATABASE_URL``) name existing servers to use; else embedded
ones are started, once a session, when the first test wants them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from hypothesis import settings

from services.sandbox.folders import cache_root, temporary_folder
from services.sandbox.maven import KAFKA_POM, resolve
from tests.support.servers import (
    KafkaServer,
    PostgresServer,
    kafka_server,
    postgres_server,
    take_environment,
    temporary_database,
)

pytest_plugins = ["tests.support.skips"]

_EXISTING = take_environment(os.environ)
settings.register_profile("thousands", max_examples=3_000)
# A terminated run takes its servers down as an interrupted one does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where embedded servers keep their data: not in pytest's folder, which Postgres' user cannot enter."""
    with temporary_folder("mailriver-tests") as folder:
        yield folder


@pytest.fixture(scope="session")
def kafka_libs() -> Path:
    """The folder with Kafka's jars, for tests that start a broker of their own."""
    return resolve(KAFKA_POM, cache_root(os.environ), os.environ)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[KafkaServer]:
    """A broker for the whole session. Topics, groups and transactional ids begin with :func:`topic_prefix`."""
    libs = servers_folder if _EXISTING.bootstrap is not None else request.getfixturevalue("kafka_libs")
    with kafka_server(_EXISTING, servers_folder / "kafka", libs) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(servers_folder: Path) -> Iterator[PostgresServer]:
    """A database server for the whole session."""
    with postgres_server(_EXISTING, servers_folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def _migrated(postgres: PostgresServer) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    # Not for the tests that need no database.
    from services.storage.adapters.migrations import migrate  # noqa: PLC0415

    with temporary_database(postgres) as url:
        migrate(url, report=lambda _name: None)
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, postgres: PostgresServer, _migrated: str) -> Iterator[str]:
    """The address of a fresh, migrated database of this test alone. Nothing in it may have drifted in the end.

    A test that leaves drift behind on purpose is marked ``drifts``.
    """
    from tests.support.counters import drifted  # noqa: PLC0415 - as above

    with temporary_database(postgres, template=_migrated) as url:
        yield url
        if request.node.get_closest_marker("drifts") is None:
            assert drifted(url) == []


@pytest.fixture
def topic_prefix() -> str:
    """What the names of this test's topics, groups and transactional ids begin with, and nobody else's."""
    return f"t{uuid4().hex[:12]}."
