"""What the fetcher needs of the outside: a source of pages."""

from __future__ import annotations

from typing import Protocol

import msgspec

from services.contracts.reasons import EventType
from services.fetcher.core.page import Page
from services.runtime.errors import Transient


class PageRequest(msgspec.Struct, frozen=True):
    """One request for a page: the first of a range, or the one behind a link."""

    domain: str
    begin_ms: int
    """Milliseconds since 1970-01-01 UTC, inclusive at Mailgun."""
    end_ms: int
    event_types: tuple[EventType, ...]
    """Nothing: all."""
    url: str | None = None
    """The link of the page before; None for the first page."""


class Answer(msgspec.Struct, frozen=True):
    """A page, and what came with it."""

    page: Page
    wait_seconds: float | None = None
    """Set when this answer used up what Mailgun allows: how long to ask nothing more."""


class SourceError(Transient):
    """The source gave no page. ``code`` is a closed list of words for the metrics."""

    code = "error"


class Throttled(SourceError):
    """429: the whole account has to wait."""

    code = "throttled"


class Unavailable(SourceError):
    """5xx, no connection, a time-out, an answer cut short: try again soon."""

    code = "unavailable"


class Unreadable(SourceError):
    """An answer of success that is no page: try again; if it stays so, a person has to look."""

    code = "unreadable"


class Refused(SourceError):
    """400, 401, 402, 403, 404: this domain or key is not served; others may be."""

    code = "refused"


class EventSource(Protocol):
    """Mailgun, or what stands for it. Used from several threads at once."""

    def fetch(self, request: PageRequest) -> Answer:
        """The page. Blocks for the network.

        Raises:
            SourceError: there is none, and why.

        """

    def close(self) -> None:
        """Close connections."""
