"""Why a mail failed: rules N4 and N7-N9 of docs/normalisation.md."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from services.processor.core.normalised import Failure
from services.processor.core.text import clean

LARGEST_CODE = 2**31 - 1
"""What the column and the Avro field hold."""

_LONGEST_ENHANCED_CODE = 50
_ENHANCED_CODE = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}")
_DIGITS = re.compile(r"0*([0-9]{1,10})")


def failure_of(severity: Any, reason: Any, status: Any) -> Failure:
    """What ``severity``, ``reason`` and ``delivery-status`` of a failed item say."""
    return Failure(
        severity=severity_of(severity),
        code=code_of(status),
        enhanced_code=enhanced_code_of(status),
        message=message_of(status),
        reason=clean(reason),
    )


def severity_of(severity: Any) -> str:
    """``permanent`` in any case is permanent, everything else temporary (N4)."""
    return "permanent" if isinstance(severity, str) and severity.lower() == "permanent" else "temporary"


def code_of(status: Any) -> int | None:
    """A code up to ``LARGEST_CODE`` from an integer, a whole float or digits as text (N7)."""
    code = _integer(status.get("code")) if isinstance(status, Mapping) else None
    return code if code is not None and 0 <= code <= LARGEST_CODE else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    digits = _DIGITS.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(digits[1]) if digits else None


def enhanced_code_of(status: Any) -> str | None:
    """``enhanced-code``, else ``bounce-code``, else a ``code`` that has the form of one (N8)."""
    if not isinstance(status, Mapping):
        return None
    return _code_text(status.get("enhanced-code")) or _code_text(status.get("bounce-code")) or _enhanced(status)


def _code_text(value: Any) -> str | None:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return clean(str(value) if isinstance(value, int | float) else value, _LONGEST_ENHANCED_CODE)


def _enhanced(status: Mapping[str, Any]) -> str | None:
    code = status.get("code")
    text = code.strip() if isinstance(code, str) else ""
    return text if _ENHANCED_CODE.fullmatch(text) else None


def message_of(status: Any) -> str | None:
    """``message`` if it is a text that is not blank, else ``description`` likewise (N9)."""
    if not isinstance(status, Mapping):
        return None
    return clean(status.get("message")) or clean(status.get("description"))
