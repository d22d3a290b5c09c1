"""The codec for any message and any bytes: the written-out code agrees with fastavro."""

from __future__ import annotations

from io import BytesIO
from typing import Any, TypeVar

import fastavro
import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from services.contracts import topics
from services.contracts.avrocode import plain
from services.contracts.codec import NotAvro
from services.contracts.events import MESSAGES, FetchSlice, Message
from services.contracts.registry import UnknownSchema
from tests.support.schemas import DELIVERED, SAMPLES, file_codec, schema

CODEC = file_codec()
PARSED: dict[str, Any] = {each.__name__: fastavro.parse_schema(plain(schema(each.__name__))) for each in MESSAGES}
T = TypeVar("T", bound=msgspec.Struct)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=100),
    bytes: st.binary(max_size=300),
    int: st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**53),
    list[str]: st.lists(st.text(max_size=20), max_size=5),
    type(None): st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if kind in VALUES:
        return VALUES[kind]
    if kind == list[FetchSlice]:
        return st.lists(structs_of(FetchSlice), max_size=3)
    return st.one_of(*(VALUES[part] for part in kind.__args__))


def structs_of(of: type[T]) -> st.SearchStrategy[T]:
    """Any struct of a class."""
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(of)}
    return st.builds(of, **fields)


messages: st.SearchStrategy[Message] = st.one_of(*(structs_of(each) for each in MESSAGES))


def topic_of(message: Message) -> str:
    return topics.RECORD_TOPICS[type(message).__name__]


@given(messages)
def test_every_message_survives_and_is_written_as_fastavro_writes_it(message: Message) -> None:
    """The way there and back, and the same bytes as the reference's."""
    written = CODEC.encode(topic_of(message), message)
    stream = BytesIO()
    fastavro.schemaless_writer(
        stream, PARSED[type(message).__name__], msgspec.to_builtins(message, builtin_types=(bytes,))
    )
    assert written[5:] == stream.getvalue()
    assert CODEC.decode(written) == message


@given(st.binary(max_size=200), st.integers(0, 13))
@example(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 2)
def test_any_bytes_are_a_message_or_refused(data: bytes, schema_id: int) -> None:
    """No other error comes out, whatever is read."""
    for candidate in (data, b"\0" + schema_id.to_bytes(4, "big") + data):
        try:
            message = CODEC.decode(candidate)
        except (NotAvro, UnknownSchema):
            continue
        assert isinstance(message, MESSAGES)


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
)
def test_damaged_records_are_read_as_fastavro_reads_them_or_refused(
    message: Message, damages: list[tuple[float, bytes, int]]
) -> None:
    """Cut, changed and lengthened in up to three places: never another message than fastavro's."""
    written = CODEC.encode(topic_of(message), message)
    for place, inserted, removed in damages:
        at = 5 + int(place * (len(written) - 5))
        written = written[:at] + inserted + written[at + removed :]
    try:
        decoded: Message | None = CODEC.decode(written)
    except NotAvro:
        decoded = None
    assert decoded == by_fastavro(type(message), written)


def by_fastavro(of: type[Message], written: bytes) -> Message | None:
    stream = BytesIO(written)
    stream.seek(5)
    try:
        fields = fastavro.schemaless_reader(stream, PARSED[of.__name__], PARSED[of.__name__])
    except (EOFError, ValueError, IndexError, OverflowError):
        return None
    return msgspec.convert(fields, of) if stream.tell() == len(written) else None


@given(st.text(st.characters(), min_size=1, max_size=50))
def test_no_text_is_refused(text: str) -> None:
    """Lone surrogates too, which JSON can hold, are written somehow, and always in the same way."""
    event = msgspec.structs.replace(DELIVERED, event_id=text)
    first, second = (CODEC.encode(topics.EMAIL_EVENTS, event) for _ in range(2))
    assert first == second
    assert CODEC.encode(topics.EMAIL_EVENTS, CODEC.decode(first)) == first
