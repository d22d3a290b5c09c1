"""Sends requests to the source from a few threads, at the pace that the account allows, and hands the answers back.

Only the network runs in the threads: every decision is made by the one thread that calls this.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from services.fetcher.core.pace import Pace, Turns, most_others
from services.fetcher.ports import Answer, EventSource, PageRequest, SourceError, Unavailable
from services.runtime.clock import Clock

OVERDUE_SECONDS = 180.0
"""However an answer trickles in: longer than all time-outs of a request that ends by itself."""

T = TypeVar("T", bound=Hashable)


class Dispatcher(Generic[T]):
    """Requests wait here for their turn; each is asked with a ticket that comes back with the answer."""

    def __init__(self, source: EventSource, *, concurrency: int, pace: Pace, clock: Clock) -> None:
        """``concurrency``: how many requests may be under way at once."""
        self._source, self._pace, self._clock = source, pace, clock
        self._turns = Turns()
        self._waiting: list[tuple[T, PageRequest, bool]] = []
        self._free = concurrency
        self._free_for_others = most_others(concurrency)
        self._sent = itertools.count()
        self._under_way: dict[int, tuple[T, float, bool]] = {}
        self._work: queue.SimpleQueue[tuple[int, PageRequest] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()
        self._threads = 0
        for _ in range(concurrency):
            self._start_thread()

    def _start_thread(self) -> None:
        # Daemons: a request that hangs in the network must not hold up the end of the process.
        threading.Thread(target=self._fetch, name=f"fetch-{self._threads}", daemon=True).start()
        self._threads += 1

    def ask(self, ticket: T, request: PageRequest, *, urgent: bool) -> None:
        """Queue a request. ``urgent`` ones go first, though not for ever."""
        self._waiting.append((ticket, request, urgent))

    def withdraw(self, tickets: set[T]) -> None:
        """Forget requests that wait; what is under way comes back all the same."""
        self._waiting = [entry for entry in self._waiting if entry[0] not in tickets]

    def answers(self, timeout: float) -> list[tuple[T, Answer | SourceError]]:
        """Send what may be sent; the answers that have come. Blocks ``timeout`` seconds at most for the first."""
        until_next = self._send()
        wait = timeout if until_next is None else min(timeout, until_next)
        answers: list[tuple[T, Answer | SourceError]] = []
        try:
            answers += self._received(*self._done.get(timeout=max(wait, 0.001)))
            while True:
                answers += self._received(*self._done.get_nowait())
        except queue.Empty:
            return answers + self._overdue()

    def _received(self, number: int, result: Answer | BaseException) -> list[tuple[T, Answer | SourceError]]:
        if number not in self._under_way:
            return []  # Given up before; nobody waits for it any more.
        ticket = self._ended(number)
        if isinstance(result, (Answer, SourceError)):
            return [(ticket, result)]
        raise result

    def _ended(self, number: int) -> T:
        ticket, _, urgent = self._under_way.pop(number)
        self._free += 1
        self._free_for_others += not urgent
        return ticket

    def _overdue(self) -> list[tuple[T, Answer | SourceError]]:
        """Give up what takes too long: an answer that trickles in would hold its thread, and its loop, for ever."""
        before = self._clock.monotonic() - OVERDUE_SECONDS
        given_up = [number for number, (_, started, _) in self._under_way.items() if started < before]
        answers: list[tuple[T, Answer | SourceError]] = []
        for number in given_up:
            ticket = self._ended(number)
            self._start_thread()
            answers.append((ticket, Unavailable(f"Mailgun has not answered within {OVERDUE_SECONDS:g} s")))
        return answers

    def _send(self) -> float | None:
        """Start requests; seconds until the next may leave, None if none waits for the pace."""
        while self._free and (may_go := self._may_go()):
            now = self._clock.monotonic()
            if (wait := self._pace.wait(now)) > 0:
                return wait
            chosen = may_go[self._turns.choose([self._waiting[at][2] for at in may_go])]
            ticket, request, urgent = self._waiting.pop(chosen)
            self._pace.left(now)
            self._free -= 1
            self._free_for_others -= not urgent
            number = next(self._sent)
            self._under_way[number] = ticket, now, urgent
            self._work.put((number, request))
        return None

    def _may_go(self) -> list[int]:
        """The positions of those that wait for nothing but their turn and the pace."""
        return [at for at, (_, _, urgent) in enumerate(self._waiting) if urgent or self._free_for_others > 0]

    def _fetch(self) -> None:
        while (work := self._work.get()) is not None:
            number, request = work
            try:
                self._done.put((number, self._source.fetch(request)))
            except BaseException as error:
                self._done.put((number, error))

    def close(self) -> None:
        """Start nothing more and end the idle threads. Does not wait for answers."""
        self._waiting.clear()
        for _ in range(self._threads):
            self._work.put(None)
        self._source.close()
