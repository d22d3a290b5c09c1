"""The wire format and what the codec refuses."""

from __future__ import annotations

import json
from io import BytesIO
from time import perf_counter

import fastavro
import msgspec
import pytest

from services.contracts import avrocode, topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import EmailDelivered, Message, RawMailgunEvent
from services.contracts.registry import FileRegistry, RegistryUnavailable, Schema, UnknownSchema
from services.runtime import resources
from tests.support.schemas import (
    BOUNCED,
    DELIVERED,
    RAW_EVENT,
    SAMPLES,
    SCHEDULED,
    STATE,
    file_codec,
    files_of,
    schema,
    with_field,
    without_field,
)


def topic_of(message: Message) -> str:
    return topics.RECORD_TOPICS[type(message).__name__]


class CountingRegistry:
    """The lock file, and how often it was asked."""

    def __init__(self) -> None:
        self.questions = 0
        self._file = FileRegistry(resources.schema_files())

    def id_for(self, subject: str) -> int:
        self.questions += 1
        return self._file.id_for(subject)

    def schema_of(self, schema_id: int) -> Schema:
        self.questions += 1
        return self._file.schema_of(schema_id)


class RegistryAway:
    """A registry that cannot be reached."""

    def id_for(self, subject: str) -> int:
        raise RegistryUnavailable(subject)

    def schema_of(self, schema_id: int) -> Schema:
        raise RegistryUnavailable(str(schema_id))


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_what_is_encoded_is_decoded_again(message: Message) -> None:
    """Every kind of message survives the way there and back."""
    codec = file_codec()
    assert codec.decode(codec.encode(topic_of(message), message)) == message


def test_a_record_begins_with_the_magic_byte_and_the_schema_id() -> None:
    """Confluent's wire format: 0, then the id of the lock file in four bytes."""
    registry = FileRegistry(resources.schema_files())
    schema_id = registry.id_for(topics.subject(topics.EMAIL_EVENTS, "EmailBounced"))
    assert Codec(registry).encode(topics.EMAIL_EVENTS, BOUNCED)[:5] == b"\0" + schema_id.to_bytes(4, "big")


def damaged() -> list[tuple[str, bytes | None]]:
    whole = file_codec().encode(topics.EMAIL_EVENTS, DELIVERED)
    at_event_id = 5
    return [
        ("no value", None),
        ("nothing", b""),
        ("a header cut short", whole[:4]),
        ("no record", whole[:5]),
        ("another magic byte", b"\1" + whole[1:]),
        ("plain JSON", b'{"event": "delivered"}'),
        ("a record cut short", whole[:-1]),
        ("bytes after the record", whole + b"\0"),
        ("text that is no UTF-8", whole[: at_event_id + 1] + b"\xff" + whole[at_event_id + 2 :]),
        ("a text of 2**40 bytes", whole[:5] + avrocode.long_bytes(2**40) + b"abc"),
        ("a text of 2**62 bytes", whole[:5] + avrocode.long_bytes(2**62) + b"abc"),
        ("a text of -1 bytes", whole[:5] + b"\1" + whole[6:]),
        ("an endless integer", whole[:5] + b"\xff" * 64),
    ]


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in damaged()])
def test_bytes_that_are_no_record_are_refused_at_once(data: bytes | None) -> None:
    """Not Avro, whatever is wrong, and no size that is claimed costs memory or time."""
    codec = file_codec()
    began = perf_counter()
    with pytest.raises(NotAvro):
        codec.decode(data)
    assert perf_counter() - began < 1.0


def test_a_hostile_array_is_refused_at_once() -> None:
    """2**40 ids in a state of a few bytes, and a block that tells a negative count."""
    codec = file_codec()
    whole = codec.encode(topics.FETCH_STATE, msgspec.structs.replace(STATE, boundary_ids=[]))
    before = codec.encode(topics.FETCH_STATE, msgspec.structs.replace(STATE, boundary_ids=["marker"]))
    at = before.index(b"marker") - 2
    for count in (2**40, -(2**40), 2**63 - 1):
        with pytest.raises(NotAvro):
            codec.decode(whole[:at] + avrocode.long_bytes(count) + whole[at + 1 :])


def test_an_unknown_id_is_an_unknown_schema() -> None:
    """The header is right, the registry does not know the id."""
    with pytest.raises(UnknownSchema, match="999"):
        file_codec().decode(b"\0" + (999).to_bytes(4, "big") + b"\0")


def test_a_record_that_is_none_of_ours_is_an_unknown_schema() -> None:
    """The registry may hold other people's records."""
    foreign = schema("EmailDelivered") | {"name": "OrderPlaced", "namespace": "shop"}
    codec = Codec(FileRegistry(files_of("EmailDelivered", foreign)))
    with pytest.raises(UnknownSchema, match=r"shop\.OrderPlaced"):
        codec.decode(b"\0\0\0\0\1\0")


def test_a_topic_without_such_a_record_is_an_unknown_subject() -> None:
    """Nobody may write a raw event to the typed topic."""
    with pytest.raises(UnknownSchema):
        file_codec().encode(topics.EMAIL_EVENTS, RAW_EVENT)


def test_a_registry_that_is_away_says_nothing_about_the_record() -> None:
    """The error is another one than for an unknown schema, so that the record is tried again."""
    codec = Codec(RegistryAway())
    with pytest.raises(RegistryUnavailable):
        codec.decode(b"\0\0\0\0\1abc")
    with pytest.raises(RegistryUnavailable):
        codec.encode(topics.RAW, RAW_EVENT)


def test_the_registry_is_asked_once() -> None:
    """After the first message of a kind nothing is asked any more."""
    registry = CountingRegistry()
    codec = Codec(registry)
    codec.decode(codec.encode(topics.RAW, RAW_EVENT))
    asked = registry.questions
    for _ in range(3):
        codec.decode(codec.encode(topics.RAW, RAW_EVENT))
    assert registry.questions == asked


def test_an_older_record_is_read_with_the_default() -> None:
    """A field that the writer did not know yet has its default; what both know stays."""
    newer = files_of("EmailBounced", schema("EmailBounced"), without_field("EmailBounced", "reason"))
    ours = file_codec().encode(topics.EMAIL_EVENTS, BOUNCED)
    # reason is null: one byte, before the severity at the end.
    severity = b"\x12permanent"
    assert ours.endswith(b"\0" + severity)
    written = b"\0\0\0\0\1" + ours[5 : -len(severity) - 1] + severity
    assert Codec(FileRegistry(newer)).decode(written) == BOUNCED


def test_a_newer_record_is_read_without_what_we_do_not_know() -> None:
    """During an upgrade the producer may be newer than the consumer."""
    added = with_field("EmailDelivered", {"name": "country", "type": ["null", "string"], "default": None})
    files = files_of("EmailDelivered", schema("EmailDelivered"), added)
    codec = Codec(FileRegistry(files))
    ours = codec.encode(topics.EMAIL_EVENTS, DELIVERED)
    assert ours[:5] == b"\0\0\0\0\2"
    assert codec.decode(b"\0\0\0\0\1" + ours[5:] + b"\2\4DE") == DELIVERED


def test_a_state_of_before_the_slices_is_read_without_any() -> None:
    """Id 11 is what the state topic holds from before."""
    old = json.loads(resources.schema_files().texts["history/FetchState/1.avsc"])
    stream = BytesIO()
    fields = {name: value for name, value in msgspec.structs.asdict(STATE).items() if name != "slices"}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(avrocode.plain(old)), fields)
    assert file_codec().decode(b"\0\0\0\0\x0b" + stream.getvalue()) == STATE


def test_a_lone_surrogate_in_a_record_of_a_record_is_replaced() -> None:
    """Ids of a slice come from Mailgun as all others do."""
    codec = file_codec()
    part = msgspec.structs.replace(SCHEDULED.slices[0], boundary_ids=["a\ud800b"])
    state = msgspec.structs.replace(SCHEDULED, slices=[part])
    decoded = codec.decode(codec.encode(topics.FETCH_STATE, state))
    part = msgspec.structs.replace(part, boundary_ids=["a\ufffdb"])
    assert decoded == msgspec.structs.replace(SCHEDULED, slices=[part])


@pytest.mark.parametrize("micros", [0, 1, -1, 2**41 - 1, 2**41, 2**48, 2**55 - 1, 2**55, 2**63 - 1, -(2**63)])
def test_every_time_survives(micros: int) -> None:
    """Also where the tables for today's times do not reach."""
    codec = file_codec()
    event = msgspec.structs.replace(RAW_EVENT, occurred_at=micros, fetched_at=micros, payload=b"")
    assert codec.decode(codec.encode(topics.RAW, event)) == event


@pytest.mark.parametrize("size", [0, 63, 64, 8191, 8192, 1_000_000])
def test_every_size_survives(size: int) -> None:
    """Sizes of one, two and three bytes, of texts and of bytes."""
    codec = file_codec()
    event = msgspec.structs.replace(RAW_EVENT, event_id="é" * (size // 2), payload=b"x" * size)
    assert codec.decode(codec.encode(topics.RAW, event)) == event


def test_lone_surrogates_are_replaced() -> None:
    """UTF-8 cannot hold them, and JSON can: they must not stop a page. Real pairs become their character."""
    codec = file_codec()
    event = msgspec.structs.replace(DELIVERED, event_id="a\ud800b", recipient="\ud83d\ude00")
    decoded = codec.decode(codec.encode(topics.EMAIL_EVENTS, event))
    assert decoded == msgspec.structs.replace(DELIVERED, event_id="a\ufffdb", recipient="\U0001f600")
    state = msgspec.structs.replace(STATE, boundary_ids=["\udfff"])
    decoded = codec.decode(codec.encode(topics.FETCH_STATE, state))
    assert decoded == msgspec.structs.replace(STATE, boundary_ids=["\ufffd"])


def test_an_integer_of_more_than_64_bits_is_refused() -> None:
    """It would be another number to the reader."""
    for code in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            file_codec().encode(topics.EMAIL_EVENTS, msgspec.structs.replace(BOUNCED, code=code))


def test_overlong_integers_are_read_as_avro_says() -> None:
    """No writer makes them, but they are Avro: a size of one in two bytes."""
    codec = file_codec()
    event = msgspec.structs.replace(DELIVERED, event_id="x")
    written = codec.encode(topics.EMAIL_EVENTS, event)
    assert written[5:7] == b"\2x"
    assert codec.decode(written[:5] + b"\x82\x00" + written[6:]) == event


def test_a_type_that_cannot_be_written_out_is_refused() -> None:
    """Who adds a type to a schema is told where it has to be taught."""
    doubled = schema("EmailDelivered")
    doubled["fields"][1]["type"] = "double"
    with pytest.raises(ValueError, match=r"double.*avrocode"):
        avrocode.reader(doubled, EmailDelivered)


def test_a_schema_that_does_not_fit_its_class_is_refused() -> None:
    """A field's name becomes source: only those of the class may."""
    with pytest.raises(ValueError, match="not those of RawMailgunEvent"):
        avrocode.writer(schema("EmailDelivered"), RawMailgunEvent, b"")
    with pytest.raises(ValueError, match="not those of EmailDelivered"):
        avrocode.reader(with_field("EmailDelivered", {"name": "x):\n  pass", "type": "string"}), EmailDelivered)
