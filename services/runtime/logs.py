"""Structured logs: a JSON line an event (or a readable one on a terminal), with no address and no secret in it."""

from __future__ import annotations

import hmac
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from typing_extensions import override

_ADDRESS = re.compile(
    r"[^\s<>\"'(),:;=|\[\]{}]+@[^\s<>\"'(),:;=|\[\]{}]+\.[^\s<>\"'(),:;=|\[\]{}]*[^\s<>\"'(),:;=|\[\]{}.]"
)
_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]+@")

_DIGITS = re.compile(r"\d+")
_REPEAT_SECONDS = 10.0
_MOST_KINDS = 200

EventDict = MutableMapping[str, Any]


class Redaction:
    """A structlog processor that hides what must not be read in a log.

    An address becomes ``address:`` and a keyed hash (the same address has the same hash under the same
    key, so that lines can be compared); credentials in URLs are left out, secrets that it is told become stars.
    """

    def __init__(self, key: bytes, secrets: tuple[str, ...] = ()) -> None:
        """``key``: of the hash. ``secrets``: texts that are replaced wherever they stand."""
        self._key = key
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 4)

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Hide in every value of the event, at any depth."""
        return {name: self.hide(value) for name, value in event.items()}

    def hide(self, value: Any) -> Any:
        """The value with all its texts made harmless."""
        if isinstance(value, str):
            return self.hide_text(value)
        if isinstance(value, dict):
            return {self.hide(name): self.hide(each) for name, each in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.hide(each) for each in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.hide_text(str(value))

    def hide_text(self, text: str) -> str:
        """One text made harmless."""
        for secret in self._secrets:
            text = text.replace(secret, "********")
        if "@" not in text:
            return text
        return _ADDRESS.sub(self._hash, _CREDENTIALS.sub(r"\1", text))

    def _hash(self, match: re.Match[str]) -> str:
        address = match.group().lower().encode("utf-8", "replace")
        return "address:" + hmac.digest(self._key, address, "sha256").hex()[:16]


class Repeats(logging.Filter):
    """Lets the same kind of line pass once in so many seconds: librdkafka tells of each failed connection."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._passed: dict[str, float] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line passes."""
        kind = _DIGITS.sub("", record.getMessage())[:80]
        if record.created - self._passed.get(kind, -self._seconds) < self._seconds:
            return False
        if len(self._passed) > _MOST_KINDS:
            self._passed.clear()
        self._passed[kind] = record.created
        return True


def configure(service: str, *, level: str, redaction: Redaction, stream: TextIO = sys.stderr) -> None:
    """Set up structlog and the standard library's logging for the whole process: both give the same lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redaction,
    ]
    readable = stream.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("librdkafka").filters[:] = [Repeats(_REPEAT_SECONDS)]
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
