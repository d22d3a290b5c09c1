"""What may be replayed of the dead letters, and as what record."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec

from services.console.core.dead_letters import FIRST_TOPICS, Filters, Letter, Place, filters_of
from services.console.core.requests import BadRequest

MOST_OFFSETS = 10_000
_NEAR = 200
"""Offsets that lie closer together than this are read at one go: cheaper than to begin anew."""

Partition = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class OffsetChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One dead letter of a topic."""

    partition: Partition
    offset: Offset


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters are to be replayed: some offsets, or all of a reason."""

    topic: str
    offsets: Annotated[tuple[OffsetChoice, ...], msgspec.Meta(min_length=1, max_length=MOST_OFFSETS)] | None = None
    reason: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """So many at most; what is skipped does not count."""
    force: bool = False
    """Also those that were replayed already."""
    dry_run: bool = False
    """Only tell what would be done."""

    @property
    def filters(self) -> Filters:
        """What is wanted besides the topic."""
        return Filters(reason=self.reason)


class Verdict(StrEnum):
    """What becomes of a dead letter in a replay."""

    REPLAYED = "replayed"
    ALREADY = "already_replayed"
    TRUNCATED = "truncated"
    """Only its first 64 KiB were kept."""
    STRANGE = "strange"
    """It does not name the topic that the letters of its topic come from."""


class ReplayResult(msgspec.Struct, frozen=True):
    """What became of the chosen ones."""

    replayed: int
    skipped: int
    """The sum of the next three."""
    already_replayed: int
    truncated: int
    strange: int
    dry_run: bool


def replay_request(body: bytes) -> ReplayRequest:
    """The request in a body.

    Raises:
        BadRequest: with what is wrong, and what would be right.

    """
    try:
        request = msgspec.json.decode(body, type=ReplayRequest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(
            f'{error}; give {{"topic", "offsets": [{{"partition", "offset"}}]}} or {{"topic", "reason"}}, '
            'and if wanted "limit", "force", "dry_run"'
        ) from None
    checked(request)
    return request


def checked(request: ReplayRequest) -> ReplayRequest:
    """The same request.

    Raises:
        BadRequest: there is no such topic or reason, or not exactly one of offsets and reason is given.

    """
    filters_of(request.reason, request.topic, None)
    if (request.offsets is None) == (request.reason is None):
        raise BadRequest("give either offsets or a reason, not both and not none")
    return request


def verdict(letter: Letter, *, is_marked: bool, force: bool) -> Verdict:
    """What is to become of a chosen letter. ``is_marked``: it was replayed before."""
    if letter.full_size is not None:
        return Verdict.TRUNCATED
    if letter.first_topic != FIRST_TOPICS[letter.topic]:
        return Verdict.STRANGE
    return Verdict.ALREADY if is_marked and not force else Verdict.REPLAYED


def replay_headers(letter: Letter) -> tuple[tuple[str, bytes], ...]:
    """The headers of the record that is written back: its origin stays known if it dies again.

    Nothing of its earlier retries goes with it, so that it has all of them before it again.
    """
    origin = tuple((name, value) for name, value in letter.headers if name.startswith("original-"))
    return (*origin, ("replayed-from", mark_key(letter)))


def mark_key(letter: Letter) -> bytes:
    """The key of the mark that a letter was replayed."""
    return f"{letter.topic}/{letter.partition}/{letter.offset}".encode()


def marked_place(key: bytes) -> tuple[Place, int] | None:
    """The partition and the offset that a mark's key names; None if it is no such key."""
    topic, _, rest = key.decode("utf-8", "replace").partition("/")
    partition, _, offset = rest.partition("/")
    return ((topic, int(partition)), int(offset)) if partition.isdecimal() and offset.isdecimal() else None


def reaches(chosen: Iterable[OffsetChoice]) -> list[tuple[int, int, int]]:
    """Partition, first offset and end of the stretches that hold the chosen ones, few and short."""
    found: list[tuple[int, int, int]] = []
    for each in sorted(set(chosen)):
        if found and found[-1][0] == each.partition and each.offset - found[-1][2] < _NEAR:
            found[-1] = (each.partition, found[-1][1], each.offset + 1)
        else:
            found.append((each.partition, each.offset, each.offset + 1))
    return found
