"""A schema registry over HTTP: any that speaks Confluent's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from confluent_kafka.schema_registry import Schema as AvroSchema
from confluent_kafka.schema_registry import SchemaRegistryClient

# confluent-kafka takes httpx2 where it is installed, else httpx: whose errors come out is known here alone.
from confluent_kafka.schema_registry.common._httpx_compat import httpx
from confluent_kafka.schema_registry.error import SchemaRegistryError

from services.contracts.registry import IncompatibleSchema, RegistryUnavailable, Schema, UnknownSchema
from services.runtime import resources

R = TypeVar("R")

COMPATIBILITY = "FULL"
_TIMEOUT_SECONDS = 5.0
# Subject, version or schema not found. A 404 without such a code is some other server's.
_NOT_FOUND = range(40401, 40404)
_REFUSED = (409, 422)


class ConfluentRegistry:
    """Registers or looks up our schemas, and fetches others by id; asks about each one once.

    Nothing is sent before the first question, so that a service can start while the registry is away. As a context
    manager it closes its connections at the end.
    """

    def __init__(self, url: str, schemas: Mapping[str, str] | None = None, *, registers: bool = True) -> None:
        """``url``: may hold user and password. ``schemas``: the text for each subject; Mailriver's own if None.

        ``registers``: whether a subject is registered, with compatibility FULL, when its id is first asked for;
        if not, it is only looked up, and has to be registered by ``mailriver schemas register``.
        """
        self._client = SchemaRegistryClient({"url": url, "timeout": _TIMEOUT_SECONDS, "max.retries": 0})
        self._texts = resources.subject_schemas() if schemas is None else schemas
        self._registers = registers
        self._ids: dict[str, int] = {}
        self._schemas: dict[int, Schema] = {}

    def id_for(self, subject: str) -> int:
        """See :class:`services.contracts.registry.SchemaRegistry`. Blocks the first time, 5 s at most a request.

        Raises:
            UnknownSchema: it is no subject of ours, or not registered and this registry only looks up.
            IncompatibleSchema: the registry refuses our schema.
            RegistryUnavailable: the registry cannot be reached.

        """
        known = self._ids.get(subject)
        return self._found(subject) if known is None else known

    def schema_of(self, schema_id: int) -> Schema:
        """See :class:`services.contracts.registry.SchemaRegistry`. Blocks the first time, 5 s at most."""
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        text = _asked(lambda: self._client.get_schema(schema_id).schema_str, f"schema id {schema_id}")
        self._schemas[schema_id] = schema = _record(text, schema_id)
        return schema

    def register_all(self) -> dict[str, int]:
        """Register every subject of ours; the id of each. Blocks.

        Raises:
            IncompatibleSchema: the registry refuses a schema; those before it are registered.
            RegistryUnavailable: the registry cannot be reached.

        """
        return {subject: self._registered(subject, text) for subject, text in self._texts.items()}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _found(self, subject: str) -> int:
        text = self._texts.get(subject)
        if text is None:
            raise UnknownSchema(f"subject {subject} is none of Mailriver's")
        schema_id = self._registered(subject, text) if self._registers else self._looked_up(subject, text)
        # Ours as it is in the file, however the registry writes it: records with this id need no resolution.
        self._schemas[schema_id] = json.loads(text)
        self._ids[subject] = schema_id
        return schema_id

    def _registered(self, subject: str, text: str) -> int:
        schema = AvroSchema(text, "AVRO")
        schema_id = _asked(lambda: self._client.register_schema(subject, schema), f"subject {subject}")
        # After it, since there must be a subject; from its second version on the registry then checks both ways.
        _asked(lambda: self._client.set_compatibility(subject, COMPATIBILITY), f"subject {subject}")
        return schema_id

    def _looked_up(self, subject: str, text: str) -> int:
        schema = AvroSchema(text, "AVRO")
        found = _asked(lambda: self._client.lookup_schema(subject, schema).schema_id, f"subject {subject}")
        if found is None:
            raise UnknownSchema(f"subject {subject}: the registry answers without an id")
        return found


def _asked(ask: Callable[[], R], about: str) -> R:
    """The registry's answer, or our error for its."""
    try:
        return ask()
    except SchemaRegistryError as error:
        detail = f"{about}: the schema registry says {error.http_status_code}: {error.error_message}"
        if error.error_code in _NOT_FOUND:
            raise UnknownSchema(detail) from error
        if error.http_status_code in _REFUSED:
            raise IncompatibleSchema(detail) from error
        raise RegistryUnavailable(detail) from error
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise RegistryUnavailable(f"{about}: the schema registry cannot be asked: {error}") from error


def _record(text: str | None, schema_id: int) -> Schema:
    """A schema's text, if it is a record's."""
    try:
        schema = json.loads(text or "")
    except ValueError as error:
        raise UnknownSchema(f"schema id {schema_id} is no JSON") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise UnknownSchema(f"schema id {schema_id} is no Avro record")
    return schema
