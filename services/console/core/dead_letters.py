"""What the console shows of dead letters, and which part of a list a page is."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from services.console.core.cursors import cursor, place_of
from services.console.core.requests import BadRequest
from services.console.core.times import iso
from services.contracts import topics
from services.contracts.reasons import DeadReason, Stage

FIRST_TOPICS: Mapping[str, str] = {
    topics.RAW_DLQ: topics.RAW,
    topics.EMAIL_EVENTS_DLQ: topics.EMAIL_EVENTS,
}
"""The dead-letter topics, and where their records were first; names without prefix."""
DEAD_LETTERS = "dlq"
"""The list, as its cursors know it."""
SHOWN_BYTES = 4 * 1024
"""How much of a payload a list shows."""

Place: TypeAlias = tuple[str, int]
"""A dead-letter topic, without prefix, and a partition's number."""


class Letter(msgspec.Struct, frozen=True, gc=False):
    """A record of a dead-letter topic."""

    topic: str
    """Without prefix, as ``first_topic``."""
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    first_topic: str | None

    def text(self, name: str) -> str | None:
        """The last header of that name, or None."""
        value = next((value for key, value in reversed(self.headers) if key == name), None)
        return None if value is None else value.decode("utf-8", "replace")

    def number(self, name: str) -> int | None:
        """A header that is a whole number, or None."""
        try:
            return int(self.text(name) or "")
        except ValueError:
            return None

    @property
    def full_size(self) -> int | None:
        """The bytes that it once had, where only the first of them were kept; else None."""
        size = self.number("size")
        return size if size is not None and size > len(self.value or b"") else None


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A dead letter as a list shows it; times in ISO 8601."""

    topic: str
    partition: int
    offset: int
    timestamp: str | None
    reason: str | None
    error: str | None
    stage: str | None
    original_topic: str | None
    original_partition: int | None
    original_offset: int | None
    payload: str | None
    """Its bytes as text where they are UTF-8, else ``base64:`` and so on; None where it has none."""
    payload_truncated: bool
    """Whether ``payload`` or ``decoded`` shows only its beginning; the record itself has more."""
    decoded: str | None
    """The JSON that is in it, where it is a readable record: for people. Replayed is what ``payload`` shows."""
    size: int | None
    """Bytes of the record as it was, where it was too large and only its beginning was kept; such are not replayed."""
    replayed_at: str | None = None


class WholeDeadLetter(DeadLetterView, frozen=True, kw_only=True, gc=False):
    """A dead letter with all that is known of it."""

    key: str | None
    """As ``payload``."""
    headers: Sequence[tuple[str, str]]
    """Each as it is, in the record's order; what is no UTF-8 as ``base64:`` and so on."""


class DeadLettersPage(msgspec.Struct, frozen=True):
    """Dead letters, newest first. A page may hold fewer than were asked for, and yet not be the last."""

    records: Sequence[DeadLetterView]
    next: str | None


class Filters(msgspec.Struct, frozen=True):
    """Which dead letters are wanted; None: any."""

    reason: str | None = None
    topic: str | None = None
    stage: str | None = None

    def take(self, letter: Letter) -> bool:
        """Whether this one is wanted."""
        return (self.reason is None or letter.text("reason") == self.reason) and (
            self.stage is None or letter.text("stage") == self.stage
        )


def filters_of(reason: str | None, topic: str | None, stage: str | None) -> Filters:
    """The filters that were asked for.

    Raises:
        BadRequest: with the words that there are, for one that is none of them.

    """
    _one_of("reason", reason, [each.value for each in DeadReason])
    _one_of("topic", topic, list(FIRST_TOPICS))
    _one_of("stage", stage, [each.value for each in Stage])
    return Filters(reason, topic, stage)


def _one_of(name: str, word: str | None, words: Sequence[str]) -> None:
    if word is not None and word not in words:
        raise BadRequest(f"{name}: give one of {', '.join(words)}")


def shown(data: bytes | None, most: int | None = None) -> str | None:
    """Bytes as text where they are UTF-8, else in base64; of the first ``most`` bytes, if that is given."""
    if data is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data[:most]).decode()
    return text if most is None or len(data) <= most else data[:most].decode("utf-8", "ignore")


def view(letter: Letter, decoded: bytes | None) -> DeadLetterView:
    """A dead letter for a list. ``decoded``: the JSON in it, if it is readable."""
    return DeadLetterView(**_fields(letter, decoded, SHOWN_BYTES))


def whole(letter: Letter, decoded: bytes | None, replayed_at: int | None) -> WholeDeadLetter:
    """A dead letter with all of it. ``replayed_at``: microseconds since 1970."""
    return WholeDeadLetter(
        **{**_fields(letter, decoded, None), "replayed_at": iso(replayed_at)},
        key=shown(letter.key),
        headers=[(name, shown(value) or "") for name, value in letter.headers],
    )


def _fields(letter: Letter, decoded: bytes | None, most: int | None) -> dict[str, Any]:
    longest = max(len(letter.value or b""), len(decoded or b""))
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": iso(letter.timestamp_ms * 1000) if letter.timestamp_ms >= 0 else None,
        "reason": letter.text("reason"),
        "error": letter.text("error"),
        "stage": letter.text("stage"),
        "original_topic": letter.first_topic,
        "original_partition": letter.number("original-partition"),
        "original_offset": letter.number("original-offset"),
        "payload": shown(letter.value, most),
        "payload_truncated": most is not None and longest > most,
        "decoded": shown(decoded, most),
        "size": letter.full_size,
    }


class Stretch(msgspec.Struct, frozen=True):
    """What a walk backwards through a partition has found: all that is wanted from ``through`` on."""

    place: Place
    found: Sequence[DeadLetterView]
    """Newest first."""
    through: int
    """The least offset that was looked at."""
    is_whole: bool
    """Whether nothing is before ``through``."""


def positions(text: str | None) -> dict[Place, int] | None:
    """Before which offset each partition is to be read on; None from the newest on. Raises BadRequest."""
    found = place_of(DEAD_LETTERS, text, list[tuple[str, int, int]])
    return None if found is None else {(topic, number): offset for topic, number, offset in found}


def merged(stretches: Sequence[Stretch], limit: int) -> DeadLettersPage:
    """The newest ``limit`` of all partitions: by time, and in a partition never a later offset after an earlier one.

    The cursor keeps the place in each partition, so that no record is shown twice or left out while others come in.
    """
    taken: list[DeadLetterView] = []
    at = [0] * len(stretches)
    while len(taken) < limit:
        waiting = [number for number, each in enumerate(stretches) if at[number] < len(each.found)]
        blind = any(at[number] == len(each.found) and not each.is_whole for number, each in enumerate(stretches))
        if not waiting or blind:
            break
        newest = max(waiting, key=lambda number: _age_key(stretches[number].found[at[number]]))
        taken.append(stretches[newest].found[at[newest]])
        at[newest] += 1
    rest = [
        (*each.place, each.found[done].offset + 1 if done < len(each.found) else each.through)
        for done, each in zip(at, stretches, strict=True)
        if done < len(each.found) or not each.is_whole
    ]
    taken.sort(key=_age_key, reverse=True)
    return DeadLettersPage(taken, cursor(DEAD_LETTERS, rest) if rest else None)


def _age_key(letter: DeadLetterView) -> tuple[str, str, int, int]:
    return letter.timestamp or "", letter.topic, letter.partition, letter.offset
