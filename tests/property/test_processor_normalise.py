"""Whatever Mailgun may send: one outcome, never an exception, and the fast way agrees with the rules."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from typing_extensions import override

from services.contracts.events import EmailEvent, FailureEvent
from services.contracts.outcome import Emit, Outcome, Reject, Retry, Skip
from services.processor.core.item import normalise_item, read_item
from services.processor.core.normal_form import normal_form
from services.processor.core.normalise import normalise
from services.processor.core.normalised import Normalised
from services.processor.core.resolve import Lookup, Recipient
from services.processor.core.text import LONGEST_TEXT
from services.processor.pipeline import process
from services.processor.ports import Found, RecipientDirectory
from tests.support.mailgun_items import payload, raw, sample, sample_names

SAMPLES = [sample(name) for name in sample_names()]

texts = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates and NUL too
odd_values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.sampled_from(["permanent", "5.1.1", "550", "<a@b>", " ", "\0", '{"email-id": "e1"}', 1e400, 10**30])
)
json_values = st.recursive(
    odd_values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


class EverybodyIsAlice(RecipientDirectory):
    """A directory that knows one recipient for every lookup."""

    @override
    def find(self, lookups: Sequence[Lookup]) -> Found:
        return Found([Recipient("r1", "e1", "m1", "alice@example.com")] * len(lookups), 0, len(lookups), 0)

    @override
    def close(self) -> None:
        pass


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a JSON value, itself first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in paths(each, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with one place changed."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def mutated_items(draw: st.DrawFn) -> bytes:
    """A sample item with one to three places changed, escaped or not."""
    item = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 3))):
        if isinstance(item, dict | list):
            item = replaced(item, draw(st.sampled_from(paths(item))), draw(json_values))
    ascii_only = draw(st.booleans())
    return json.dumps(item, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass")


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    """The JSON of a sample item with some bytes changed, inserted or cut out."""
    content = bytearray(payload(draw(st.sampled_from(SAMPLES))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3)
            | st.sampled_from([b'"', b"\\", b"\\ud800", b",", b"}", b"1e400", b"NaN", b"\xed\xa0\x80"])
        )
    return bytes(content)


anything = mutated_items() | mutated_bytes() | json_values.map(payload) | st.binary(max_size=40)


def by_the_rules(content: bytes) -> Normalised | Reject:
    """What ``normalise`` has to answer."""
    item = read_item(content)
    return item if isinstance(item, Reject) else normalise_item(item)


@given(anything)
@example(b'{"event":"opened","event":"clicked","timestamp":1787220004.5,"timestamp":0}')
@example(
    b'{"event":"opened","timestamp":1787220004,"recipient":"a@b","message":{"headers":{"message-id":"m"}},"x":"\xff"}'
)
@example(
    b'{"event":"opened","timestamp":1787220004,"recipient":"a@b","message":{"headers":{"message-id":"m"}},"x":NaN}'
)
def test_the_fast_way_and_the_rules_agree(content: bytes) -> None:
    assert normalise(content) == by_the_rules(content)


@given(anything)
def test_the_complete_form_has_what_the_short_one_has(content: bytes) -> None:
    short, complete = normalise(content), normal_form(content)

    if isinstance(short, Reject) or isinstance(complete, Reject):
        assert short == complete
    else:
        assert (complete.event_type, complete.recipient) == (short.event_type, short.recipient)
        assert short.failure is None or complete.message == short.failure.message


@given(st.lists(anything, max_size=5))
def test_each_raw_event_has_one_outcome_that_can_be_written(contents: list[bytes]) -> None:
    outcomes = process([raw(content) for content in contents], EverybodyIsAlice()).outcomes

    assert len(outcomes) == len(contents)
    for outcome in outcomes:
        assert writable(outcome)


def writable(outcome: Outcome) -> bool:
    """Whether all texts of an outcome are UTF-8 without NUL and not too long, and its error is one line."""
    match outcome:
        case Emit(event):
            return all(fits(text) for text in texts_of(event))
        case Reject(_, error) | Retry(error):
            return error.isprintable() and fits(error)
        case Skip(_):
            return True


def texts_of(event: EmailEvent) -> list[str]:
    """The texts of a typed event that come from the item."""
    found = [event.event_id, event.recipient]
    if isinstance(event, FailureEvent):
        found += [text for text in (event.enhanced_code, event.message, event.reason) if text is not None]
    return found


def fits(text: str) -> bool:
    """Whether Avro can write a text and Postgres store it."""
    return text.encode().decode() == text and "\0" not in text and 0 < len(text) <= LONGEST_TEXT


def shuffled(value: Any, seed: int) -> Any:
    """A JSON value with the keys of its objects in another order."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (random.Random(f"{seed}{key}").random(), key))
        return {key: shuffled(value[key], seed) for key in keys}
    return [shuffled(each, seed) for each in value] if isinstance(value, list) else value


@given(st.sampled_from(SAMPLES), st.integers(0, 1000))
def test_the_order_of_the_keys_does_not_matter(item: dict[str, Any], seed: int) -> None:
    assert normalise(payload(shuffled(item, seed))) == normalise(payload(item))
