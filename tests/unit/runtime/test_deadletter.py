"""Dead letters keep the bytes, say where they came from, and stop when too many come."""

from __future__ import annotations

import hashlib

from services.contracts.reasons import DeadReason, Stage
from services.runtime.bus.api import Record
from services.runtime.deadletter import KEPT_BYTES, DeadLetters, Origin, StormGuard

RECORD = Record("raw", 3, 42, 1_787_220_000_000, b"k", b"\x00\xff bytes", ())
DEAD = DeadLetters("raw.dlq", Stage.PROCESSOR, most_bytes=100_000)


def test_a_letter_has_the_bytes_unchanged_and_all_headers() -> None:
    letter = DEAD.letter(RECORD, DeadReason.NOT_AVRO, "no\nmagic byte")
    assert (letter.topic, letter.key, letter.value) == ("raw.dlq", b"k", b"\x00\xff bytes")
    headers = dict(letter.headers)
    assert headers.pop("version")
    assert headers == {
        "reason": b"not_avro",
        "error": b"no magic byte",
        "stage": b"processor",
        "original-topic": b"raw",
        "original-partition": b"3",
        "original-offset": b"42",
        "original-timestamp": b"1787220000000",
    }


def test_after_a_retry_the_letter_names_the_first_topic() -> None:
    retried = Record("raw.retry", 0, 7, 5, b"k", b"v", Origin.of(RECORD).headers())
    headers = dict(DEAD.letter(retried, DeadReason.UNRESOLVED, "nobody").headers)
    assert headers["original-topic"] == b"raw"
    assert headers["original-offset"] == b"42"


def test_what_is_too_large_is_kept_as_its_beginning_with_size_and_hash() -> None:
    value = b"x" * 100_001
    letter = DEAD.of(b"k", value, Origin.of(RECORD), DeadReason.TOO_LARGE, "too large")
    headers = dict(letter.headers)
    assert letter.value == value[:KEPT_BYTES]
    assert headers["size"] == b"100001"
    assert headers["sha256"] == hashlib.sha256(value).hexdigest().encode()


def test_headers_that_are_no_numbers_do_not_break_the_letter() -> None:
    odd = Record("raw.retry", 0, 7, 5, b"k", b"v", (("original-topic", b"raw"), ("original-offset", b"x")))
    assert dict(DEAD.letter(odd, DeadReason.UNRESOLVED, "nobody").headers)["original-offset"] == b"-1"


def test_a_storm_is_more_than_the_ratio_of_a_full_window() -> None:
    guard = StormGuard(ratio=0.5, window=100)
    assert not guard.is_storm(99, range(99)), "the window is not full"
    guard.passed(90, ())
    assert not guard.is_storm(50, range(50))
    assert guard.is_storm(51, range(51))


def test_the_window_slides_record_by_record_within_a_batch() -> None:
    """A large batch does not thin out what stands together in it."""
    guard = StormGuard(ratio=0.5, window=100)
    assert not guard.is_storm(4_000, range(0, 4_000, 2))
    assert guard.is_storm(4_000, range(3_850, 4_000))
    assert guard.is_storm(4_000, range(200, 251))


def test_old_records_leave_the_window() -> None:
    guard = StormGuard(ratio=0.5, window=100)
    guard.passed(60, range(40))
    assert guard.is_storm(60, range(60))
    guard.passed(100, ())
    assert not guard.is_storm(60, range(40))


def test_looking_changes_nothing() -> None:
    guard = StormGuard(ratio=0.5, window=10)
    assert guard.is_storm(10, range(10))
    assert guard.is_storm(10, range(10))
    assert not guard.is_storm(10, range(5))
