"""The command line as whole processes, on real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from services.contracts import topics
from services.runtime import resources
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client
from services.runtime.topics_admin import create
from services.sandbox.folders import cache_root
from services.sandbox.registry import EmbeddedRegistry, registry_app
from services.storage.adapters.migrations import expected_version, schema_version, shipped
from tests.support.commands import mailriver, started
from tests.support.servers import KafkaServer, PostgresServer, temporary_database

pytestmark = pytest.mark.integration

SECRET = "s3cret-value"
GOOD = {
    "MAILGUN_API_KEY": SECRET,
    "MAILGUN_DOMAINS": "mg.example.com",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": f"postgresql://mail:{SECRET}@127.0.0.1:1/mail",
}
WRONG = {
    "fetcher": {"FETCH_PAGE_SIZE": "301", "FETCH_INTERVALL_SECONDS": "5", "MAILGUN_DOMAINS": "no domain"},
    "processor": {"PROCESSOR_RETRY_SECONDS": "1,2,3,4", "DLQ_STOP_RATIO": "2", "DATABASE_URL": SECRET},
    "storage": {"STORAGE_BATCH_EVENTS": "0", "HTTP_PORT": "http", "LOG_LEVEL": "loud"},
    "console": {"CONSOLE_TOKENS": "x", "MAILGUN_RETENTION_HOURS": "0", "HTTP_PORT": "-1"},
}


@pytest.mark.parametrize("service", WRONG)
def test_a_service_with_wrong_settings_names_them_all_and_starts_nothing(service: str) -> None:
    """Exit 2; no log line, since nothing has happened; no secret."""
    result = mailriver("run", service, **{**GOOD, **WRONG[service]})
    assert result.returncode == 2
    assert sorted(line.split(":")[1].strip() for line in result.stderr.splitlines()) == sorted(WRONG[service])
    assert all(line.startswith("mailriver: ") for line in result.stderr.splitlines())
    assert result.stdout == ""
    assert SECRET not in result.stderr


@pytest.mark.parametrize("service", WRONG)
def test_a_service_whose_port_is_taken_ends_with_a_sentence(service: str) -> None:
    """Exit 1: there may be another one running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = mailriver("run", service, **GOOD, HTTP_PORT=port)
    assert result.returncode == 1
    (line,) = [json.loads(text) for text in result.stderr.splitlines()]
    assert (line["event"], line["level"], line["service"]) == ("cannot_start", "critical", service)
    assert (
        line["error"] == f"HTTP_PORT: cannot listen on 127.0.0.1:{port}: Address already in use; choose another, or 0"
    )


@pytest.mark.parametrize("service", WRONG)
def test_a_service_without_any_server_runs_says_so_and_stops_when_told(service: str) -> None:
    """An outage ends nobody: alive, not ready, and SIGTERM ends it with 0."""
    with started("run", service, **GOOD, HTTP_PORT="0") as process:
        try:
            assert process.stderr is not None
            line = json.loads(process.stderr.readline())
            assert line["event"] == "started"
            base = f"http://127.0.0.1:{line['http_port']}"
            assert httpx.get(f"{base}/livez", trust_env=False).json() == {"ok": True, "faults": {}}
            assert httpx.get(f"{base}/readyz", trust_env=False).status_code == 503
            assert "mailriver_build_info{" in httpx.get(f"{base}/metrics", trust_env=False).text
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert json.loads(said.splitlines()[-1])["event"] == "stopped"
    assert SECRET not in said


def test_topics_are_created_once_and_then_checked(kafka: KafkaServer, topic_prefix: str) -> None:
    """Exit 0 where they are as declared, 1 where one is missing."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": topic_prefix}
    missing = mailriver("topics", "check", **settings)
    assert missing.returncode == 1
    assert f"{topic_prefix}{topics.RAW} is missing: create it with `mailriver topics create`" in missing.stderr
    created = mailriver("topics", "create", **settings)
    assert created.returncode == 0, created.stderr
    names = [line.removeprefix("created ") for line in created.stdout.splitlines()]
    assert sorted(names) == sorted(topic_prefix + name for name in topics.ALL)
    for command in ("create", "check"):
        again = mailriver("topics", command, **settings)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_topics_that_differ_are_told_and_left_as_they_are(kafka: KafkaServer, topic_prefix: str) -> None:
    """Exit 1 by both commands."""
    specs = [spec for spec in resources.topic_specs() if spec.name == topics.RAW_DLQ]
    admin = admin_client(KafkaConfig(kafka.bootstrap))
    create(admin, specs, topic_prefix)
    name = f"{topic_prefix}{topics.RAW_DLQ}"
    _add_a_partition(admin, name)
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": topic_prefix}
    for command in ("create", "check"):
        result = mailriver("topics", command, **settings)
        assert result.returncode == 1
        assert result.stderr == f"{name} has 2 partitions, declared are 1\n"


def _add_a_partition(admin: AdminClient, topic: str) -> None:
    for future in admin.create_partitions([NewPartitions(topic, 2)]).values():
        future.result()


@pytest.mark.parametrize("command", ["create", "check"])
def test_without_a_broker_topics_end_with_a_sentence(command: str) -> None:
    """Exit 1, in less than half a minute."""
    began = time.monotonic()
    result = mailriver("topics", command, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert time.monotonic() - began < 30
    assert result.returncode == 1
    assert "mailriver: Kafka: list the topics: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_is_migrated_once(postgres: PostgresServer) -> None:
    """The second time there is nothing left to do."""
    with temporary_database(postgres) as url:
        first = mailriver("migrate", DATABASE_URL=url)
        assert first.returncode == 0, first.stderr
        *applied, summary = first.stdout.splitlines()
        assert applied == [migration.name for migration in shipped()]
        assert summary == f"{len(applied)} migrations applied, schema version {expected_version()}"
        again = mailriver("migrate", DATABASE_URL=url)
        assert again.returncode == 0
        assert again.stdout == f"0 migrations applied, schema version {expected_version()}\n"
        with psycopg.connect(url) as connection:
            assert schema_version(connection) == expected_version()


def test_without_a_database_migrate_ends_with_a_sentence() -> None:
    """Exit 1, without the password."""
    result = mailriver("migrate", DATABASE_URL=GOOD["DATABASE_URL"])
    assert result.returncode == 1
    assert result.stderr.startswith("mailriver: ")
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRegistry]:
    app = registry_app(cache_root(os.environ), os.environ)
    with EmbeddedRegistry(tmp_path_factory.mktemp("registry"), app=app) as server:
        yield server


def test_schemas_are_registered_and_keep_their_ids(registry: EmbeddedRegistry) -> None:
    """A line a subject; the second time nothing changes."""
    first = mailriver("schemas", "register", SCHEMA_REGISTRY_URL=registry.url)
    assert first.returncode == 0, first.stderr
    subjects = [line.partition(": ")[0] for line in first.stdout.splitlines()]
    assert sorted(subjects) == sorted(resources.subject_schemas())
    again = mailriver("schemas", "register", SCHEMA_REGISTRY_URL=registry.url)
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_the_simulator_says_where_it_is_answers_and_stops_when_told() -> None:
    """What it prints are the settings for a fetcher."""
    with started("simulator", "--port", "0", "--recipients", "5") as process:
        try:
            assert process.stdout is not None
            said = dict(process.stdout.readline().strip().split("=", 1) for _ in range(3))
            domain = said["MAILGUN_DOMAINS"]
            events = httpx.get(
                f"{said['MAILGUN_BASE_URL']}/v3/{domain}/events", auth=("api", said["MAILGUN_API_KEY"]), trust_env=False
            )
            assert events.status_code == 200
            assert "items" in events.json()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, errors


def test_a_simulator_on_a_taken_port_or_with_a_wrong_scenario_ends_with_a_sentence(tmp_path: Path) -> None:
    """Exit 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = mailriver("simulator", "--port", str(port))
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    (tmp_path / "scenario.yaml").write_text("nonsense: 1\n")
    result = mailriver("simulator", "--port", "0", "--scenario", str(tmp_path / "scenario.yaml"))
    assert result.returncode == 1
    assert "nonsense" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("line", ["session.timeout.ms=abc", "compression.type=nope", "session.timeout.ms=300000"])
def test_what_librdkafka_refuses_only_where_a_client_is_made_is_told_before_anything_starts(
    line: str, tmp_path: Path
) -> None:
    """The admin client knows nothing of consumers and producers; exit 2 with its words, no traceback."""
    properties = tmp_path / "kafka.properties"
    properties.write_text(f"{line}\n")
    done = mailriver(
        *("run", "processor"),
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        DATABASE_URL="postgresql://127.0.0.1:1/none",
        KAFKA_PROPERTIES_FILE=str(properties),
        HTTP_PORT="0",
    )
    assert done.returncode == 2, done.stderr
    assert "KAFKA_PROPERTIES_FILE" in done.stderr
    assert "Traceback" not in done.stderr
