"""A real schema registry over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import Schema as AvroSchema
from confluent_kafka.schema_registry import SchemaRegistryClient

from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.registry import IncompatibleSchema, RegistryUnavailable, UnknownSchema
from services.runtime import resources
from services.runtime.bus.registry import ConfluentRegistry
from services.runtime.schema_check import register
from services.sandbox.folders import cache_root
from services.sandbox.registry import EmbeddedRegistry, registry_app
from tests.support.schemas import BOUNCED, RAW_EVENT, SAMPLES, schema, with_field, without_field

pytestmark = pytest.mark.integration

SUBJECT = topics.subject(topics.EMAIL_EVENTS, "EmailBounced")
BOUNCED_TEXT = json.dumps(schema("EmailBounced"))
SEVERITY = b"\x12permanent"

Connect = Callable[..., ConfluentRegistry]


@pytest.fixture(scope="module")
def app() -> Path:
    return registry_app(cache_root(os.environ), os.environ)


@pytest.fixture(scope="module")
def server(app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry(tmp_path_factory.mktemp("registry"), app=app) as registry:
        yield registry


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients, as ConfluentRegistry does, that are closed after the test."""
    with ExitStack() as stack:
        yield lambda *given, **named: stack.enter_context(ConfluentRegistry(*given, **named))


def test_every_message_goes_through_a_registry(server: EmbeddedRegistry, connect: Connect) -> None:
    """One process registers and writes, another one only looks up and reads."""
    writer = Codec(connect(server.url))
    written = [writer.encode(topics.RECORD_TOPICS[type(each).__name__], each) for each in SAMPLES]
    connect(server.url).register_all()
    reader = Codec(connect(server.url, registers=False))
    assert tuple(reader.decode(each) for each in written) == SAMPLES


def test_registering_again_changes_nothing(server: EmbeddedRegistry, connect: Connect) -> None:
    """Each start of each service may do it; ids stay."""
    first = connect(server.url).register_all()
    again = connect(server.url)
    assert register(again) == [f"{subject}: {schema_id}" for subject, schema_id in first.items()]
    assert set(first) == set(resources.subject_schemas())
    assert again.id_for(SUBJECT) == first[SUBJECT]


def test_an_incompatible_schema_is_refused(server: EmbeddedRegistry, connect: Connect) -> None:
    """The subject was registered with compatibility FULL, so the registry answers 409."""
    connect(server.url).id_for(SUBJECT)
    added = with_field("EmailBounced", {"name": "country", "type": "string"})
    for changed in (without_field("EmailBounced", "recipient"), added):
        with pytest.raises(IncompatibleSchema, match="409"):
            connect(server.url, {SUBJECT: json.dumps(changed)}).id_for(SUBJECT)


def test_a_compatible_change_gets_a_new_id_and_old_records_are_still_read(
    server: EmbeddedRegistry, connect: Connect
) -> None:
    """A reader that is a version ahead of the writer."""
    older = connect(server.url, {SUBJECT: json.dumps(without_field("EmailBounced", "reason"))})
    newer = connect(server.url, {SUBJECT: BOUNCED_TEXT})
    old_id, new_id = older.id_for(SUBJECT), newer.id_for(SUBJECT)
    assert old_id != new_id
    written = Codec(newer).encode(topics.EMAIL_EVENTS, BOUNCED)
    of_old = b"\0" + old_id.to_bytes(4, "big") + written[5 : -len(SEVERITY) - 1] + SEVERITY
    assert Codec(newer).decode(of_old) == BOUNCED


def test_an_unknown_id_is_an_unknown_schema(server: EmbeddedRegistry, connect: Connect) -> None:
    """The registry says that there is none."""
    registry = connect(server.url)
    with pytest.raises(UnknownSchema):
        registry.schema_of(999_999)
    with pytest.raises(UnknownSchema):
        Codec(registry).decode(b"\0" + (999_999).to_bytes(4, "big") + b"\0")


def test_a_foreign_schema_is_an_unknown_schema(server: EmbeddedRegistry, connect: Connect) -> None:
    """The registry may hold schemas that are no records at all."""
    with SchemaRegistryClient({"url": server.url}) as client:
        schema_id = client.register_schema("names-value", AvroSchema('{"type": "string"}', "AVRO"))
    with pytest.raises(UnknownSchema, match="no Avro record"):
        Codec(connect(server.url)).decode(b"\0" + schema_id.to_bytes(4, "big") + b"\2x")


def test_what_was_never_registered_is_unknown_to_who_only_looks_up(server: EmbeddedRegistry, connect: Connect) -> None:
    """And a subject that is none of ours is not even asked for."""
    registry = connect(server.url, {"never-registered": BOUNCED_TEXT}, registers=False)
    with pytest.raises(UnknownSchema, match="404"):
        registry.id_for("never-registered")
    with pytest.raises(UnknownSchema, match="none of Mailriver's"):
        registry.id_for("other")


def test_another_server_at_the_address_is_no_answer(server: EmbeddedRegistry, connect: Connect) -> None:
    """A 404 that no registry gave must not make dead letters of good records."""
    registry = connect(server.url.replace("/apis/ccompat/v7", "/wrong"))
    with pytest.raises(RegistryUnavailable, match="404"):
        registry.schema_of(1)


def test_a_registry_that_is_away_is_unavailable_until_it_is_back(app: Path, tmp_path: Path, connect: Connect) -> None:
    """Another error than for an unknown schema; what was asked for before needs no registry; the address stays."""
    with EmbeddedRegistry(tmp_path, app=app) as server:
        url, codec = server.url, Codec(connect(server.url))
        written = codec.encode(topics.EMAIL_EVENTS, BOUNCED)
        assert codec.decode(written) == BOUNCED
        server.stop()
        assert codec.decode(codec.encode(topics.EMAIL_EVENTS, BOUNCED)) == BOUNCED
        with pytest.raises(RegistryUnavailable):
            codec.encode(topics.RAW, RAW_EVENT)
        with pytest.raises(RegistryUnavailable):
            codec.decode(b"\0" + (77).to_bytes(4, "big") + b"\0")
        server.start()
        assert server.url == url
        # It came back empty and counts its ids anew, so this needs a codec that has learnt nothing yet.
        codec = Codec(connect(server.url))
        assert codec.decode(codec.encode(topics.RAW, RAW_EVENT)) == RAW_EVENT
