"""Scheduled fetches as the fetcher runs them, over the model of Mailgun: requests, pages, transactions and crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from services.contracts.events import FetchState
from services.fetcher.backfill import ScheduleTask, SliceTask
from services.fetcher.backlog import Backlog
from services.fetcher.core.cursor import cut
from services.fetcher.core.page import Item, Page
from services.fetcher.core.schedule import Schedule, restored, stored
from services.fetcher.core.slices import Bounds
from services.fetcher.ports import PageRequest
from services.fetcher.task import Ticket, Turned
from tests.support.mailgun_model import ModelEvent

DAY = 86_400_000_000


class ModelMailgun:
    """Serves one page at a time; a link holds the range and the place, as Mailgun's does."""

    def __init__(self, events: Sequence[ModelEvent], *, size: int, end_inclusive: bool) -> None:
        self.events, self.size, self.end_inclusive = events, size, end_inclusive

    def serve(self, request: PageRequest, now: int) -> Page:
        """The page as it is at this moment."""
        begin, end, after = request.begin_ms * 1000, request.end_ms * 1000, (-1, "")
        if request.url is not None:
            first, last, instant, event_id = request.url.split("/", 3)
            begin, end, after = int(first), int(last), (int(instant), event_id)
        upper = end + 1 if self.end_inclusive else end
        found = sorted(
            (cut(event.occurred_at), event.event_id, event.occurred_at)
            for event in self.events
            if event.visible_at <= now and begin <= event.occurred_at < upper
        )
        served = [each for each in found if each[:2] > after][: self.size]
        if not served:
            return Page([], None)
        items = [Item(event_id, at, b"|", b"{}", "delivered") for _, event_id, at in served]
        return Page(items, f"{begin}/{end}/{served[-1][0]}/{served[-1][1]}")


class Runner:
    """A fetcher's schedules of one domain, without any I/O: what is committed is kept, the rest dies in a crash."""

    def __init__(self, mailgun: ModelMailgun, schedules: Sequence[Schedule], *, slices: int, random: Random) -> None:
        self.mailgun, self.random = mailgun, random
        self.bounds = Bounds(slices, mailgun.size, 1_000 * DAY)
        self.topic: dict[bytes, FetchState] = {each.key: stored(each, each.kept_at) for each in schedules}
        self.published: Counter[str] = Counter()
        self.requests = 0
        self.most_slices = 0
        self.start()

    def start(self) -> None:
        """The process starts, or starts again after a crash: nothing is known but the state topic."""
        self.waiting: list[tuple[Ticket, PageRequest]] = []
        self.backlog = Backlog([restored(state) for state in self.topic.values()], make_task=self._task)

    def _task(self, state: Schedule) -> ScheduleTask:
        return ScheduleTask(state, self.bounds, random=lambda: 0.0)

    @property
    def is_over(self) -> bool:
        """Whether every schedule has ended."""
        return all(restored(state).is_ended for state in self.topic.values())

    def step(self, now: int, *, fails: bool = False) -> None:
        """Some of the answers come, in any order; one transaction, which may fail."""
        self.waiting += self.backlog.advance(["mg.example.com"], now, 0.0)
        assert len(self.waiting) <= self.bounds.slices, "more requests at once than allowed"
        self.random.shuffle(self.waiting)
        count = self.random.randint(1, max(1, len(self.waiting)))
        coming, self.waiting = self.waiting[:count], self.waiting[count:]
        work = [self._turn(part, request, now) for ticket, request in coming if (part := self._find(ticket))]
        if fails:
            given_up = {ticket for part, _ in work for ticket in part.abandon()}
            self.waiting = [each for each in self.waiting if each[0] not in given_up]
            return
        for part, turned in work:
            assert isinstance(turned.state, Schedule)
            self.published.update(item.event_id for item in turned.items)
            self._commit(turned.state, now)
            part.published(turned, 0.0)

    def _commit(self, state: Schedule, now: int) -> None:
        before = restored(self.topic[state.key]).fetched_through
        after = state.fetched_through
        assert before is None or (after is not None and after >= before), "the contiguous part became shorter"
        self.most_slices = max(self.most_slices, len(state.slices))
        self.topic[state.key] = stored(state, now)

    def _turn(self, part: SliceTask, request: PageRequest, now: int) -> tuple[SliceTask, Turned]:
        self.requests += 1
        turned = part.turn(self.mailgun.serve(request, now), now, lambda _: False)
        following = part.ahead(turned)
        if following is not None and part.ticket is not None:
            self.waiting.append((part.ticket, following))
        return part, turned

    def _find(self, ticket: Ticket) -> SliceTask | None:
        return next((part for part in self.backlog.slice_tasks if part.ticket == ticket), None)

    def put(self, state: Schedule, now: int) -> None:
        """A command has changed a schedule, and Kafka has the change."""
        self.topic[state.key] = stored(state, now)
        given_up = self.backlog.put(state)
        self.waiting = [each for each in self.waiting if each[0] not in given_up]
