"""Where schema ids come from: the protocol, and the registry that is the committed lock file ``schemas/ids.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

Schema: TypeAlias = dict[str, Any]
"""An Avro schema as parsed JSON; always a record here."""


class UnknownSchema(Exception):
    """The registry answers, and knows no such schema or subject."""


class RegistryUnavailable(Exception):
    """The registry cannot be asked right now. It says nothing about the schema: try again later."""


class IncompatibleSchema(Exception):
    """The registry refuses to register a schema: it is not compatible with an earlier one of its subject."""


class SchemaRegistry(Protocol):
    """Gives each subject's schema its id, and each id its schema."""

    def id_for(self, subject: str) -> int:
        """The id under which records of this subject are written. May block for a registry over HTTP.

        Raises:
            UnknownSchema: there is no such subject.
            RegistryUnavailable: the registry cannot be reached.

        """

    def schema_of(self, schema_id: int) -> Schema:
        """The schema with this id. May block for a registry over HTTP.

        Raises:
            UnknownSchema: there is no such id.
            RegistryUnavailable: the registry cannot be reached.

        """


class LockEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the lock file."""

    subject: str
    file: str
    """Below ``schemas/``; a published version that is no longer the current one is in ``history/``."""


class SchemaFiles(msgspec.Struct, frozen=True):
    """The texts of ``schemas/``, already read."""

    lock: str
    """``ids.json``"""
    texts: Mapping[str, str]
    """Each ``.avsc`` by its path below ``schemas/``, such as ``history/EmailOpened/1.avsc``."""


def parse_lock(text: str) -> dict[int, LockEntry]:
    """The lock file.

    Raises:
        ValueError: if it is no right lock file.

    """
    try:
        entries = msgspec.json.decode(text, type=dict[int, LockEntry])
    except msgspec.MsgspecError as error:
        raise ValueError(f"ids.json: {error}") from None
    if out_of_range := [each for each in entries if not 0 < each < 2**31]:
        raise ValueError(f"ids.json: an id is from 1 to 2147483647, not {out_of_range[0]}")
    return entries


class FileRegistry:
    """The lock file as a registry: its ids never change, since a record in Kafka may outlive every process."""

    def __init__(self, files: SchemaFiles) -> None:
        """Parses everything once.

        Raises:
            ValueError: if the lock file is wrong, names a file that is not there, or a schema is no JSON.

        """
        self._schemas: dict[int, Schema] = {}
        self._ids: dict[str, int] = {}
        for schema_id, entry in sorted(parse_lock(files.lock).items()):
            text = files.texts.get(entry.file)
            if text is None:
                raise ValueError(f"ids.json: id {schema_id}: there is no file {entry.file}")
            self._schemas[schema_id] = json.loads(text)
            self._ids[entry.subject] = schema_id

    def id_for(self, subject: str) -> int:
        """See :class:`SchemaRegistry`; the newest id of the subject. Never blocks."""
        try:
            return self._ids[subject]
        except KeyError:
            raise UnknownSchema(f"subject {subject} is not in schemas/ids.json") from None

    def schema_of(self, schema_id: int) -> Schema:
        """See :class:`SchemaRegistry`. Never blocks."""
        try:
            return self._schemas[schema_id]
        except KeyError:
            raise UnknownSchema(f"schema id {schema_id} is not in schemas/ids.json") from None
