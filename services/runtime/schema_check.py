"""Checks every schema against its published versions, both ways, and the lock file against the schemas. Pure.

A version is published by copying it to ``history/<Record>/<n>.avsc`` and giving it an id in ``ids.json``; what an id
stands for never changes, since records in Kafka carry it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Protocol

import avro.compatibility
import avro.errors
import avro.schema

from services.contracts import topics
from services.contracts.registry import LockEntry, SchemaFiles, parse_lock


class Registrar(Protocol):
    """A registry that schemas can be registered with."""

    def register_all(self) -> dict[str, int]:
        """Register every subject; the id of each."""


def register(registry: Registrar) -> list[str]:
    """Register every schema with a registry; a line for each, ``subject: id``. Blocks.

    Raises:
        RegistryUnavailable: the registry cannot be reached.
        IncompatibleSchema: it refuses a schema.

    """
    return [f"{subject}: {schema_id}" for subject, schema_id in registry.register_all().items()]


def problems(files: SchemaFiles) -> list[str]:
    """Everything that is wrong, a sentence each; empty if schemas, history and lock file agree."""
    parsed: dict[str, avro.schema.Schema] = {}
    found = []
    for path, text in files.texts.items():
        try:
            parsed[path] = avro.schema.parse(text)
        except (avro.errors.AvroException, ValueError) as error:
            found.append(f"{path} is no Avro schema: {error}")
    current = [path for path in parsed if "/" not in path]
    for path in current:
        found += _problems_of_record(path, parsed, files.texts)
    found += [
        f"{path} has no current schema {_record(path)}.avsc: records that were written with it cannot be read"
        for path in parsed
        if "/" in path and f"{_record(path)}.avsc" not in files.texts
    ]
    return [*found, *_problems_of_lock(files)]


def _record(path: str) -> str:
    """The record that a file should hold: ``history/<Record>/<n>.avsc`` or ``<Record>.avsc``."""
    pure = PurePosixPath(path)
    return pure.parent.name if pure.parts[0] == "history" else pure.stem


def _versions(record: str, texts: Mapping[str, Any]) -> list[str]:
    """The published versions of a record, oldest first."""
    paths = [path for path in texts if path.startswith("history/") and _record(path) == record]
    return sorted(paths, key=lambda path: (len(path), path))


def _problems_of_record(path: str, parsed: Mapping[str, avro.schema.Schema], texts: Mapping[str, str]) -> Iterator[str]:
    record = _record(path)
    expected = f"{topics.NAMESPACE}.{record}"
    if getattr(parsed[path], "fullname", None) != expected:
        yield f"{path} holds {getattr(parsed[path], 'fullname', 'no record')}, not {expected}"
        return
    versions = _versions(record, parsed)
    if not versions or json.loads(texts[versions[-1]]) != json.loads(texts[path]):
        following = f"history/{record}/{len(versions) + 1}.avsc"
        yield f"{path} is not published: copy it to {following} and give it a new id in ids.json"
    for version in versions:
        for reader, writer in ((path, version), (version, path)):
            if detail := _incompatibility(parsed[reader], parsed[writer]):
                yield f"{reader} cannot read what was written with {writer}: {detail}"


def _incompatibility(reader: avro.schema.Schema, writer: avro.schema.Schema) -> str:
    """Why records of the writer's schema cannot be read with the reader's; empty if they can."""
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # untyped in the library
    result = checker.get_compatibility(reader, writer)
    if result.compatibility is avro.compatibility.SchemaCompatibilityType.compatible:
        return ""
    return "; ".join(sorted(result.messages))


def _problems_of_lock(files: SchemaFiles) -> Iterator[str]:
    try:
        lock = parse_lock(files.lock)
    except ValueError as error:
        yield str(error)
        return
    for schema_id, entry in lock.items():
        yield from _problems_of_entry(schema_id, entry, files.texts)
    named = [entry.file for entry in lock.values()]
    for path, text in files.texts.items():
        is_current = "/" not in path
        if not is_current and _same_json(text, files.texts.get(f"{_record(path)}.avsc")):
            continue  # the id of the current file stands for it
        if named.count(path) != 1:
            yield f"ids.json has {named.count(path)} ids for {path}, it should have one"
        if is_current and any(_is_later(other, path, lock) for other in _versions(_record(path), files.texts)):
            yield f"ids.json gives {path} an id below that of an older version: a new version takes a new, higher id"


def _problems_of_entry(schema_id: int, entry: LockEntry, texts: Mapping[str, str]) -> Iterator[str]:
    if entry.file not in texts:
        yield f"ids.json: id {schema_id}: there is no file {entry.file}"
        return
    record = _record(entry.file)
    topic = topics.RECORD_TOPICS.get(record)
    if topic is None:
        yield f"ids.json: id {schema_id}: no topic holds {record}, so it needs no id"
    elif entry.subject != (expected := topics.subject(topic, record)):
        yield f"ids.json: id {schema_id}: the subject of {entry.file} is {expected}, not {entry.subject}"


def _same_json(text: str, other: str | None) -> bool:
    try:
        return other is not None and bool(json.loads(text) == json.loads(other))
    except ValueError:
        return False


def _is_later(path: str, than: str, lock: Mapping[int, LockEntry]) -> bool:
    ids = {entry.file: schema_id for schema_id, entry in lock.items()}
    return path in ids and than in ids and ids[path] > ids[than]
