"""Messages as bytes: Avro in the Confluent wire format (magic byte 0, four bytes of schema id, the record).

The hottest code there is: an event is written and read twice each on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, cast

import fastavro
import msgspec

from services.contracts import identity, topics
from services.contracts.avrocode import HEADER_BYTES, UNREADABLE, UNWRITABLE, is_flat, plain, reader, writer
from services.contracts.events import MESSAGES, Message
from services.contracts.registry import Schema, SchemaRegistry, UnknownSchema

_CLASSES: Mapping[str, type[Message]] = {f"{topics.NAMESPACE}.{each.__name__}": each for each in MESSAGES}
# What fastavro raises for bytes that are not what the schema says.
_GARBAGE = (EOFError, ValueError, IndexError, OverflowError, TypeError, KeyError)


class NotAvro(Exception):
    """The bytes are no record in the Confluent wire format, or not of the schema that they name."""


class Codec:
    """Encodes and decodes every message; keeps what it learnt from the registry for ever, since ids never change.

    Safe for several threads: at worst a schema is looked up twice.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._writers: dict[tuple[str, type], _Writer] = {}
        self._readers: dict[bytes, _Reader] = {}

    def encode(self, topic: str, message: Message) -> bytes:
        """The bytes of a message. ``topic``: where the record is first written, without prefix; names the subject.

        Lone surrogates, which UTF-8 cannot hold, become U+FFFD. Blocks only for the first message of a class,
        where the registry does.

        Raises:
            UnknownSchema: the registry has no such subject.
            RegistryUnavailable: the registry cannot be reached.
            OverflowError: an integer has more than 64 bits.

        """
        try:
            found = self._writers[topic, message.__class__]
        except KeyError:
            found = self._writer_for(topic, message.__class__)
        try:
            return found.write(message)
        except UNWRITABLE:
            return found.write_unusual(message)

    def decode(self, data: bytes | None) -> Message:
        """The message in these bytes. Blocks only for the first record with a schema id, where the registry does.

        Raises:
            NotAvro: these bytes can never be read.
            UnknownSchema: the registry does not know the id, or its record is none of ours.
            RegistryUnavailable: the registry cannot be reached.

        """
        if data is None:
            raise NotAvro("the record has no value")
        try:
            found = self._readers[data[:HEADER_BYTES]]
        except KeyError:
            found = self._reader_for(data)
        try:
            return found.read(data)
        except UNREADABLE:
            return found.read_unusual(data)

    def _writer_for(self, topic: str, of: type[Message]) -> _Writer:
        schema_id = self._registry.id_for(topics.subject(topic, of.__name__))
        found = _Writer(self._registry.schema_of(schema_id), of, b"\0" + schema_id.to_bytes(4, "big"))
        self._writers[topic, of] = found
        return found

    def _reader_for(self, data: bytes) -> _Reader:
        header = data[:HEADER_BYTES]
        if len(header) < HEADER_BYTES:
            raise NotAvro(f"{len(data)} bytes are too few for the Confluent wire format")
        if header[0] != 0:
            raise NotAvro(f"the first byte is {header[0]}, not the 0 of the Confluent wire format")
        schema_id = int.from_bytes(header[1:], "big")
        written = self._registry.schema_of(schema_id)
        of = _CLASSES.get(_full_name(written))
        if of is None:
            raise UnknownSchema(f"schema {schema_id} is {_full_name(written)}, no record of this Mailriver")
        ours = self._registry.id_for(topics.subject(topics.RECORD_TOPICS[of.__name__], of.__name__))
        try:
            found = _Reader(written, self._registry.schema_of(ours), of)
        except (KeyError, TypeError, AttributeError, ValueError, fastavro.schema.SchemaParseException) as error:
            raise UnknownSchema(f"schema {schema_id} is none that can be read: {type(error).__name__}") from error
        self._readers[header] = found
        return found


class _Writer:
    """Writes one class of messages to one topic."""

    __slots__ = ("_header", "_schema", "write")

    def __init__(self, schema: Schema, of: type[Message], header: bytes) -> None:
        self.write: Callable[[Message], bytes] = (
            writer(schema, cast(type[Any], of), header) if is_flat(schema) else self.write_unusual
        )
        self._header = header
        self._schema = fastavro.parse_schema(plain(schema))

    def write_unusual(self, message: Message) -> bytes:
        """What ``write`` left: long texts, texts with lone surrogates, and records in records."""
        stream = BytesIO()
        stream.write(self._header)
        fields = msgspec.to_builtins(message, builtin_types=(bytes,))
        fastavro.schemaless_writer(stream, self._schema, _without_surrogates(fields))
        return stream.getvalue()


class _Reader:
    """Reads the records that were written with one schema, as our class says now."""

    __slots__ = ("_is_flat", "_of", "_ours", "_written", "read")

    def __init__(self, written: Schema, ours: Schema, of: type[Message]) -> None:
        self._of, self._is_flat = of, is_flat(ours)
        self._written, self._ours = fastavro.parse_schema(plain(written)), fastavro.parse_schema(plain(ours))
        same = self._is_flat and _shape(written) == _shape(ours)
        self.read: Callable[[bytes], Message] = reader(ours, cast(type[Any], of)) if same else self.read_unusual

    def read_unusual(self, data: bytes) -> Message:
        """What ``read`` left: odd but right ways to write, and all that is wrong."""
        stream = BytesIO(data)
        stream.seek(HEADER_BYTES)
        try:
            fields = cast(dict[str, Any], fastavro.schemaless_reader(stream, self._written, self._ours))
        except fastavro.schema.SchemaParseException as error:
            raise UnknownSchema(f"its schema cannot be read as our {self._of.__name__}: {error}") from error
        except fastavro.read.SchemaResolutionError as error:
            raise UnknownSchema(f"its schema is not compatible with our {self._of.__name__}") from error
        except _GARBAGE as error:
            detail = " ".join(str(error).split())
            raise NotAvro(f"no {self._of.__name__}: {type(error).__name__}: {detail}") from error
        if following := len(data) - stream.tell():
            raise NotAvro(f"{following} bytes follow the {self._of.__name__}")
        return self._of(**fields) if self._is_flat else msgspec.convert(fields, self._of)


def _full_name(schema: Schema) -> str:
    name = str(schema.get("name", "a schema without name"))
    return name if "." in name or not schema.get("namespace") else f"{schema['namespace']}.{name}"


def _shape(schema: Schema) -> list[tuple[str, Any]]:
    """What decides how a record is written: names and types of the fields in their order."""
    return [(field["name"], plain(field["type"])) for field in schema["fields"]]


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return identity.without_surrogates(value)
    if isinstance(value, dict):
        return {name: _without_surrogates(each) for name, each in value.items()}
    return [_without_surrogates(each) for each in value] if isinstance(value, list) else value
