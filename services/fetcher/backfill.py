"""A scheduled fetch being run: its slices, each with a run and a request of its own. No I/O.

All slices live in one state. ``state`` is what Kafka has; ``ahead`` is what it will have once the pages that have come
are published: the next requests are made from it. When a transaction fails, ``ahead`` is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from services.contracts.reasons import EventType
from services.fetcher.core import cursor as cursors
from services.fetcher.core import schedule as schedules
from services.fetcher.core import slices
from services.fetcher.core.cursor import MILLISECOND, Run
from services.fetcher.core.page import Item, Page
from services.fetcher.core.retention import explanation
from services.fetcher.core.schedule import Schedule
from services.fetcher.core.slices import Bounds, Density, Slice
from services.fetcher.ports import PageRequest, Refused, SourceError, Unreadable
from services.fetcher.task import REFUSED_SECONDS, UNREADABLE_TRIES, Ticket, Turned, next_number
from services.runtime.backoff import Backoff

Asked = tuple[Ticket, PageRequest]


class ScheduleTask:
    """Drives one scheduled fetch. Time comes in: ``now`` in microseconds since 1970, ``monotonic`` in seconds."""

    def __init__(self, state: Schedule, bounds: Bounds, *, random: Callable[[], float]) -> None:
        """Nothing is asked before :meth:`requests`."""
        self.state = self.ahead = state
        self.bounds = bounds
        self.is_refused = False
        """Whether Mailgun has refused it: it has to rest, and its requests are of no use any more."""
        self.slice_tasks: dict[int, SliceTask] = {}
        self._random = random

    @property
    def notice(self) -> str | None:
        """What is to be said of the range although all is well."""
        state = self.ahead
        if state.started_at is None:
            return None
        return explanation(state.begin, state.end, state.started_at, self.bounds.retention)

    @property
    def tickets(self) -> set[Ticket]:
        """Of the requests that are under way."""
        return {part.ticket for part in self.slice_tasks.values() if part.ticket is not None}

    def start(self, now: int) -> None:
        """It is its turn. To begin again from here is right also before Kafka knows that it runs."""
        self.state = self.ahead = schedules.started(self.state, now, self.bounds.slices)

    def requests(self, monotonic: float) -> list[Asked]:
        """What is to be asked now: for slices without a request, and for halves of slices that have much to go."""
        if self.is_refused or self.ahead.is_ended:
            return []
        self.slice_tasks = {part.begin: self._task_of(part) for part in self.ahead.slices}
        asked = [part.begin() for part in self.slice_tasks.values() if self._may_ask(part, monotonic)]
        while len(self.slice_tasks) < self.bounds.slices:
            densities = {begin: each.density for begin, each in self.slice_tasks.items() if each.density is not None}
            whole = slices.richest(self.ahead.slices, densities)
            if whole is None:
                break
            first, second = slices.halved(whole)
            self.ahead = schedules.with_slices(self.ahead, first, second)
            self.slice_tasks[second.begin] = self._task_of(second)
            asked.append(self.slice_tasks[second.begin].begin())
        return asked

    def _task_of(self, part: Slice) -> SliceTask:
        return self.slice_tasks.get(part.begin) or SliceTask(self, part.begin, random=self._random)

    def _may_ask(self, part: SliceTask, monotonic: float) -> bool:
        return part.ticket is None and part.due_at <= monotonic and len(self.tickets) < self.bounds.slices

    def refused(self) -> None:
        """Mailgun serves nothing of it: what is under way is of no use, what has come is published all the same."""
        self.is_refused = True
        self._forget_requests()

    def abandon(self) -> set[Ticket]:
        """Give up what is not published: it is asked again from the state that Kafka has. The tickets given up."""
        self.ahead = self.state
        return self._forget_requests()

    def _forget_requests(self) -> set[Ticket]:
        tickets = self.tickets
        for part in self.slice_tasks.values():
            part.ticket = None
        self.slice_tasks = {}
        return tickets


class SliceTask:
    """Drives one slice, like a loop's task drives its loop."""

    is_urgent = False

    def __init__(self, whole: ScheduleTask, begin: int, *, random: Callable[[], float]) -> None:
        """``begin``: which slice of the schedule it is; the end may be moved while it is read."""
        self._at = begin
        self.ticket: Ticket | None = None
        self.due_at = 0.0
        self.density: Density | None = None
        self._whole = whole
        self._run: Run | None = None
        self._backoff = Backoff(first=1.0, most=60.0, random=random)

    @property
    def state(self) -> Schedule:
        """The state of the whole schedule, with all that has been taken in."""
        return self._whole.ahead

    @property
    def tickets(self) -> set[Ticket]:
        """Of the requests of the whole schedule."""
        return self._whole.tickets

    def _slice(self) -> Slice:
        return next(part for part in self._whole.ahead.slices if part.begin == self._at)

    def begin(self) -> Asked:
        """Ask from the cursor on: the request with its ticket."""
        request = self._begin()
        if self.ticket is None:
            raise ValueError("a request has a ticket")
        return self.ticket, request

    def _begin(self) -> PageRequest:
        part = self._slice()
        run = cursors.begin_run(part.cursor, part.sent_end)
        if run is None:
            raise ValueError("an empty slice is never kept")
        self._run = run
        return self._ask(run, None)

    def _ask(self, run: Run, url: str | None) -> PageRequest:
        state = self.state
        self.ticket = Ticket(state.domain, state.loop, next_number())
        return PageRequest(
            domain=state.domain,
            begin_ms=run.start.sent_begin // MILLISECOND,
            end_ms=run.end // MILLISECOND,
            event_types=tuple(EventType(each) for each in state.event_types),
            url=url,
        )

    def turn(self, page: Page, _now: int, is_published: Callable[[Item], bool]) -> Turned:
        """What the page leads to; it is in the state ahead from now on.

        ``is_published``: whether an item is in Kafka already, or gets there in the same transaction.
        """
        run, part, whole = self._run, self._slice(), self._whole
        if run is None:
            raise ValueError("no run is under way")
        if not page.items:
            whole.ahead = schedules.read_out(whole.ahead, self._at, whole.notice)
            return Turned([], whole.ahead, None, "turned" if whole.ahead.slices else "complete")
        self.density = Density.of([item.seen for item in page.items], whole.bounds.page_size)
        mine = [item for item in page.items if part.holds(item.seen, run.end)]
        seen = [item.seen for item in mine]
        fresh = [mine[at] for at in cursors.fresh(run, seen)]
        new = [item for item in fresh if not is_published(item)]
        turned = cursors.turn(run, seen, len(fresh))
        part = msgspec.structs.replace(part, cursor=turned.cursor)
        whole.ahead = schedules.turned(whole.ahead, part, turned.last, len(fresh), whole.notice)
        return Turned(new, whole.ahead, turned, "turned", page.next_url, len(mine) - len(new))

    def ahead(self, turned: Turned) -> PageRequest | None:
        """The request after, to be sent while this page is published; None if the slice is done.

        A slice that has been halved since it was asked is asked anew, up to its new end: behind the link are the
        events of its other half, which somebody else reads.
        """
        self.ticket, self._run = None, turned.run
        if turned.run is None:
            return None
        if turned.run.end != self._slice().sent_end:
            return self._begin()
        return self._ask(turned.run, turned.next_url)

    def published(self, _turned: Turned, _monotonic: float) -> None:
        """Kafka has the items, and the state with all that was taken in: a schedule's pages are published together."""
        self._whole.state = self._whole.ahead
        self._backoff.succeeded()

    def failed(self, error: SourceError, monotonic: float) -> float:
        """The source gave no page: the slice is asked again from its cursor; the seconds until then."""
        whole = self._whole
        self.ticket, self._run = None, None
        if isinstance(error, Refused):
            whole.refused()
            pause, failed = REFUSED_SECONDS, True
        else:
            pause = self._backoff.failed(error.retry_after)
            failed = isinstance(error, Unreadable) and self._backoff.failures >= UNREADABLE_TRIES
        self.due_at = monotonic + pause
        whole.state = schedules.troubled(whole.state, str(error), failed=failed)
        whole.ahead = schedules.troubled(whole.ahead, str(error), failed=failed)
        return pause

    def abandon(self) -> set[Ticket]:
        """Give up what is not published of the whole schedule. The tickets given up."""
        return self._whole.abandon()
