"""One loop being run: its state, its run and its next request, moved by the answers. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec

from services.contracts.reasons import Loop
from services.fetcher.core import cursor as cursors
from services.fetcher.core import loop as loops
from services.fetcher.core.cursor import MILLISECOND, Run
from services.fetcher.core.loop import LoopState
from services.fetcher.core.page import Item, Page
from services.fetcher.core.schedule import Schedule
from services.fetcher.core.window import EVENT_TYPES, LATEST
from services.fetcher.ports import PageRequest, Refused, SourceError, Unreadable
from services.runtime.backoff import Backoff

REFUSED_SECONDS = 300.0
UNREADABLE_TRIES = 3
# One sequence for all tasks of the process: a loop that is lost and taken again is another task, which must not take
# an answer that its predecessor still had under way.
_numbers = count(1)


def next_number() -> int:
    """The number of the next ticket."""
    return next(_numbers)


class Ticket(msgspec.Struct, frozen=True):
    """Which request an answer belongs to: an answer to a run that has been given up is thrown away."""

    domain: str
    loop: Loop
    number: int


class Turned(msgspec.Struct, frozen=True):
    """What an answer leads to: items to publish, the state to keep with them, and how the run goes on."""

    items: list[Item]
    state: LoopState | Schedule
    run: Run | None
    """None: the run is over."""
    result: str
    """turned, complete, empty or capped."""
    next_url: str | None = None
    known: int = 0
    """Items of the page that were published before."""


class LoopTask:
    """Drives one loop. Time comes in: ``now`` in microseconds since 1970, ``monotonic`` in seconds."""

    def __init__(self, state: LoopState, *, interval: float, random: Callable[[], float], max_events: int) -> None:
        """``interval``: seconds between the end of a run and the next."""
        self.state = state
        self.due_at = 0.0
        self.ticket: Ticket | None = None
        self._run: Run | None = None
        self._interval, self._max_events = interval, max_events
        self._backoff = Backoff(first=1.0, most=60.0, random=random)

    @property
    def tickets(self) -> set[Ticket]:
        """Of the request that is under way."""
        return set() if self.ticket is None else {self.ticket}

    @property
    def is_urgent(self) -> bool:
        """Whether its requests go before those of the other loops."""
        return self.state.loop in LATEST

    def is_due(self, monotonic: float) -> bool:
        """Whether a new run may start."""
        return self.ticket is None and monotonic >= self.due_at

    def begin(self, end: int, now: int, monotonic: float) -> PageRequest | None:
        """Start a run up to ``end``; its first request, or None if there is nothing to ask yet."""
        run = cursors.begin_run(self.state.cursor, end)
        if run is None:
            self.due_at = monotonic + self._interval
            return None
        self._run = run
        self.state = loops.started(self.state, run, now)
        return self._ask(None)

    def _ask(self, url: str | None) -> PageRequest | None:
        run = self._run
        if run is None:
            return None
        self.ticket = Ticket(self.state.domain, self.state.loop, next_number())
        return PageRequest(
            domain=self.state.domain,
            begin_ms=run.start.sent_begin // MILLISECOND,
            end_ms=run.end // MILLISECOND,
            event_types=EVENT_TYPES[self.state.loop],
            url=url,
        )

    def turn(self, page: Page, now: int, is_published: Callable[[Item], bool]) -> Turned:
        """What the page leads to. Nothing is changed yet: that is :meth:`published`, once Kafka has it.

        ``is_published``: whether an item is in Kafka already, or gets there in the same transaction.
        """
        run = self._run
        if run is None:
            raise ValueError("no run is under way")
        if not page.items:
            result = "complete" if run.served else "empty"
            return Turned([], loops.completed(self.state, run, now), None, result)
        seen = [item.seen for item in page.items]
        new = [page.items[at] for at in cursors.fresh(run, seen) if not is_published(page.items[at])]
        turned = cursors.turn(run, seen, len(new))
        state = loops.turned(self.state, turned, len(new))
        known = len(page.items) - len(new)
        if cursors.is_cut(turned, self._max_events):
            return Turned(new, loops.paused(state), None, "capped", known=known)
        return Turned(new, state, turned, "turned", page.next_url, known)

    def ahead(self, turned: Turned) -> PageRequest | None:
        """The request for the page after, to be sent while this one is published; None if the run is over."""
        self._run = turned.run
        self.ticket = None
        return self._ask(turned.next_url) if turned.run is not None else None

    def published(self, turned: Turned, monotonic: float) -> None:
        """Kafka has the items and the state."""
        if isinstance(turned.state, LoopState):
            self.state = turned.state
        self._backoff.succeeded()
        if turned.result != "turned":
            self.due_at = monotonic + (0.0 if turned.result == "capped" else self._interval)

    def failed(self, error: SourceError, monotonic: float) -> float:
        """The source gave no page: the run is over, the cursor stays; the seconds until the next try."""
        self.abandon()
        if isinstance(error, Refused):
            pause, status = REFUSED_SECONDS, loops.FAILED
        else:
            pause = self._backoff.failed(error.retry_after)
            hopeless = isinstance(error, Unreadable) and self._backoff.failures >= UNREADABLE_TRIES
            status = loops.FAILED if hopeless else loops.BACKING_OFF
        self.state = loops.troubled(self.state, status, str(error))
        self.due_at = monotonic + pause
        return pause

    def abandon(self) -> set[Ticket]:
        """Give the run up: the next one starts from the cursor of the last published page. The ticket given up."""
        tickets = self.tickets
        self._run = None
        self.ticket = None
        return tickets
