"""Schemas, classes and examples belong together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin

import fastavro
import msgspec
import pytest

from services.contracts import topics
from services.contracts.avrocode import plain
from services.contracts.events import MESSAGES, TYPED_EVENTS, Message
from services.contracts.registry import parse_lock
from services.runtime import resources
from tests.support.schemas import file_codec, schema

FOLDER = resources.schemas_folder()
SPECS = resources.topic_specs()
EXAMPLES = sorted(FOLDER.glob("examples/*/*/*.json"))
AVRO_TYPES = {str: "string", bytes: "bytes", int: "long"}
# Longs that are no times.
NUMBERS = {"code", "events_total", "partition", "offset"}


def wordless(avro_type: Any) -> Any:
    """A type without what is told of it in words."""
    if isinstance(avro_type, list):
        return [wordless(each) for each in avro_type]
    if isinstance(avro_type, dict):
        return {key: wordless(value) for key, value in avro_type.items() if key != "doc"}
    return avro_type


def is_told(field: dict[str, Any]) -> Iterator[bool]:
    """Whether a field, and each field of the records in it, has a doc."""
    yield bool(field["doc"])
    items = field["type"].get("items") if isinstance(field["type"], dict) else None
    if isinstance(items, dict):
        yield bool(items["doc"])
        for each in items["fields"]:
            yield from is_told(each)


def avro_type(field: str, kind: Any) -> Any:
    """The Avro type that a field of a class should have."""
    if get_origin(kind) is UnionType:
        (inner,) = (part for part in get_args(kind) if part is not NoneType)
        return ["null", avro_type(field, inner)]
    if get_origin(kind) is list:
        return {"type": "array", "items": avro_type(field, get_args(kind)[0])}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = [{"name": each.name, "type": avro_type(each.name, each.type)} for each in msgspec.structs.fields(kind)]
        return {"type": "record", "name": kind.__name__, "fields": fields}
    if kind is int and field not in NUMBERS:
        return {"type": "long", "logicalType": "timestamp-micros"}
    return AVRO_TYPES[kind]


@pytest.mark.parametrize("of", MESSAGES, ids=lambda of: of.__name__)
def test_class_and_schema_agree_field_by_field(of: type[Message]) -> None:
    """Names, order, types and what may be null."""
    expected = [(field.name, avro_type(field.name, field.type)) for field in msgspec.structs.fields(of)]
    assert [(field["name"], wordless(field["type"])) for field in schema(of.__name__)["fields"]] == expected


@pytest.mark.parametrize("of", MESSAGES, ids=lambda of: of.__name__)
def test_schemas_are_documented_and_can_evolve(of: type[Message]) -> None:
    """A doc for everything; null as default of what may be null, and the class's other defaults."""
    parsed = schema(of.__name__)
    assert (parsed["name"], parsed["namespace"]) == (of.__name__, topics.NAMESPACE)
    assert parsed["doc"]
    defaults = {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(of)
    }
    for field in parsed["fields"]:
        assert all(is_told(field)), field["name"]
        if isinstance(field["type"], list):
            assert field["default"] is None
        elif defaults[field["name"]] is not msgspec.NODEFAULT:
            assert field["default"] == defaults[field["name"]]


def test_there_is_a_schema_for_every_class_and_no_other() -> None:
    """One record a file, named like the file."""
    assert {file.stem for file in FOLDER.glob("*.avsc")} == {of.__name__ for of in MESSAGES}
    assert set(TYPED_EVENTS) <= set(MESSAGES)


def test_the_published_ids_never_change() -> None:
    """Records in Kafka carry them: an id may be added, and none ever means something else."""
    subjects = {schema_id: entry.subject for schema_id, entry in parse_lock(resources.schema_files().lock).items()}
    order = [of.__name__ for of in MESSAGES]
    assert {number: subjects[number] for number in range(1, 13)} == {
        number: topics.subject(topics.RECORD_TOPICS[record], record) for number, record in enumerate(order, 1)
    }
    assert subjects[13] == topics.subject(topics.FETCH_STATE, "FetchState")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_every_example_is_encoded_and_decoded(file: Path) -> None:
    """Examples are Avro JSON, as other people's tools read it, and pass through the codec unchanged."""
    record, topic = file.stem.partition("-")[0], file.parent.parent.name
    one_line = StringIO(json.dumps(json.loads(file.read_text())))
    parsed = fastavro.parse_schema(plain(schema(record)))
    (fields,) = cast(Iterator[dict[str, Any]], fastavro.json_reader(one_line, parsed))
    (of,) = (each for each in MESSAGES if each.__name__ == record)
    message = msgspec.convert(fields, of)
    codec = file_codec()
    assert codec.decode(codec.encode(topic, message)) == message


def test_every_record_has_an_example_of_its_current_version() -> None:
    """And every topic with records names the folder of its examples."""
    for record, topic in topics.RECORD_TOPICS.items():
        version = len(list(FOLDER.glob(f"history/{record}/*.avsc")))
        assert list(FOLDER.glob(f"examples/{topic}/{version}/{record}*.json")), record
    for spec in SPECS:
        assert (spec.examples is None) == (not spec.records)
        if spec.examples is not None:
            assert {file.stem.partition("-")[0] for file in FOLDER.glob(f"examples/{spec.examples}/*.json")} == set(
                spec.records
            )
