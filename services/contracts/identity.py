"""What identifies an event of Mailgun, its mail and its recipient: the rules that fetcher and processor share.

Rules named N1-N12 are the normalisation rules in docs/normalisation.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parseaddr, parsedate_to_datetime
from functools import lru_cache
from typing import Any

import rfc8785

MICROS = 1_000_000
_LATEST_MICROS = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * MICROS + 999_999
_EXACT_INTEGER = 2**53
_LONGEST_KEPT_ID = 255
_LONGEST_DISPLAY = 1_000


def event_id(item: Any) -> str:
    """The id of an item: Mailgun's own, or ``sha256:`` and the hash of its canonical JSON (RFC 8785).

    The same item always has the same id, whichever loop saw it and whenever.
    """
    given = item.get("id") if isinstance(item, Mapping) else None
    if isinstance(given, str) and given:
        return given
    return "sha256:" + hashlib.sha256(canonical_json(item)).hexdigest()


def bounded(given_id: str) -> str:
    """An id as a cursor and a memory keep it: whatever Mailgun says, 255 characters at most."""
    if len(given_id) <= _LONGEST_KEPT_ID:
        return given_id
    return "sha256:" + hashlib.sha256(given_id.encode("utf-8", "surrogatepass")).hexdigest()


def canonical_json(item: Any) -> bytes:
    """RFC 8785 bytes of a JSON value.

    Python's ``json`` reads more than RFC 8785 can write. Integers beyond 2**53 are taken as the
    doubles that RFC 8785 says they are; an item with NaN, infinities or lone surrogates, for which
    the RFC has no form, is written as ASCII JSON with sorted keys instead: still one form for one value.
    """
    try:
        return rfc8785.dumps(_as_doubles(item))
    except (rfc8785.CanonicalizationError, UnicodeError, OverflowError, RecursionError):
        return json.dumps(item, sort_keys=True, separators=(",", ":")).encode("ascii")


def _as_doubles(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _EXACT_INTEGER:
        return float(value)
    if isinstance(value, dict):
        return {key: _as_doubles(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_doubles(each) for each in value]
    return value


def occurred_at(timestamp: Any, logs_timestamp: Any = None) -> int | None:
    """The instant of an item in microseconds (rule N3), from ``timestamp``, else from ``@timestamp``.

    Takes seconds as number or text (from 1e11 on milliseconds, from 1e14 microseconds, from 1e17
    nanoseconds), ISO 8601 and RFC 2822 text. Cuts, never rounds. None if neither is usable.
    """
    instant = _micros(timestamp)
    return instant if instant is not None else _micros(logs_timestamp)


def _micros(value: Any) -> int | None:
    if isinstance(value, float):
        # The hot case: repr gives the digits that Mailgun wrote, so cutting them is exact.
        if 1e9 <= value < 1e11:
            whole, _, fraction = repr(value).partition(".")
            return int(whole) * MICROS + int((fraction + "00000")[:6])
        return _scaled(Decimal(repr(value))) if math.isfinite(value) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _scaled(Decimal(value)) if value.bit_length() <= 128 else None
    return _micros_of_text(value.strip()) if isinstance(value, str) else None


def _micros_of_text(text: str) -> int | None:
    if not text or len(text) > 64:
        return None
    if text.isascii():
        try:
            return _scaled(Decimal(text.replace("_", "x")))
        except InvalidOperation:
            pass
    return _micros_of_date(text)


def _micros_of_date(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        return None
    micros = (elapsed.days * 86_400 + elapsed.seconds) * MICROS + elapsed.microseconds
    return micros if 0 < micros <= _LATEST_MICROS else None


def _scaled(number: Decimal) -> int | None:
    """Seconds, milli-, micro- or nanoseconds by their size, as microseconds."""
    if not number.is_finite() or number <= 0 or number >= Decimal("1e21"):
        return None
    exponent = 6 if number < Decimal("1e11") else 3 if number < Decimal("1e14") else 0
    micros = int(number.scaleb(exponent)) if number < Decimal("1e17") else int(number.scaleb(-3))
    return micros if 0 < micros <= _LATEST_MICROS else None


def message_id(message: Any) -> str | None:
    """The provider's message id of an item's ``message`` (rule N6): no brackets, no blanks; None if it has none."""
    headers = message.get("headers") if isinstance(message, Mapping) else None
    if not isinstance(headers, Mapping):
        return None
    given = headers.get("message-id")
    if given is None:
        given = next((v for k, v in headers.items() if isinstance(k, str) and k.lower() == "message-id"), None)
    if not isinstance(given, str):
        return None
    text = given.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip()
    return text or None


def address(recipient: Any) -> str | None:
    """The address in an item's ``recipient`` (rule N5): as received, taken out of a display form; None if none."""
    if not isinstance(recipient, str):
        return None
    text = recipient.strip()
    if text.endswith(">") and "<" in text:
        text = _address_of_display(text)
    return text or None


@lru_cache(maxsize=1024)
def _address_of_display(text: str) -> str:
    plain = text.rpartition("<")[2][:-1].strip()
    if len(text) > _LONGEST_DISPLAY:
        return plain
    try:
        return parseaddr(text)[1].strip() or plain
    except (RecursionError, ValueError, IndexError):
        return plain  # The parser recurses into nested comments.


def raw_key(provider_message_id: str | None, recipient: str | None) -> bytes:
    """The key of a raw record: one mail to one person is one key, so its events share a partition."""
    key = f"{provider_message_id or ''}|{(recipient or '').lower()}"
    try:
        return key.encode()
    except UnicodeEncodeError:
        return without_surrogates(key).encode()


def without_surrogates(text: str) -> str:
    """A text with U+FFFD for its lone surrogates, which no UTF-8 can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
