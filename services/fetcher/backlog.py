"""The scheduled fetches of a partition of the commands topic: all that are known, and which of them run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from services.fetcher.backfill import Asked, ScheduleTask, SliceTask
from services.fetcher.core.schedule import Schedule, is_forgotten
from services.fetcher.task import REFUSED_SECONDS, Ticket

_NEXT_AFTER_REFUSAL_SECONDS = 30.0
"""A refusal may be of this order alone: the next one of the domain is tried, but not all of them at once."""


class Backlog:
    """Schedules by their keys. What ended is kept for a while, so that the same order is not carried out again."""

    def __init__(self, schedules: Iterable[Schedule], *, make_task: Callable[[Schedule], ScheduleTask]) -> None:
        """``schedules``: as the state topic has them."""
        self._known = {state.key: state for state in schedules}
        self._waiting = {key for key, state in self._known.items() if not state.is_ended}
        self._running: dict[str, ScheduleTask] = {}
        self._rests_until: dict[bytes, float] = {}
        self._domain_rests_until: dict[str, float] = {}
        self._make_task = make_task

    @property
    def slice_tasks(self) -> list[SliceTask]:
        """The slices that are read here and now."""
        return [part for task in self._running.values() for part in task.slice_tasks.values()]

    @property
    def schedules(self) -> list[Schedule]:
        """Those that have not ended, as Kafka has them."""
        running = {task.state.key: task.state for task in self._running.values()}
        return [running.get(key) or self._known[key] for key in (*self._waiting, *running)]

    def get(self, key: bytes) -> Schedule | None:
        """A schedule as Kafka has it; None if there is none of this key."""
        for task in self._running.values():
            if task.state.key == key:
                return task.state
        return self._known.get(key)

    def put(self, state: Schedule) -> set[Ticket]:
        """Take in what Kafka has now of a schedule that does not run by itself: new, or canceled.

        Returns the tickets of its requests, which nobody waits for any more.
        """
        self._known[state.key] = state
        task = self._running.get(state.domain)
        tickets: set[Ticket] = set()
        if task is not None and task.state.key == state.key:
            tickets = task.abandon()
            del self._running[state.domain]
        self._waiting.discard(state.key)
        if not state.is_ended:
            self._waiting.add(state.key)
        return tickets

    def advance(self, domains: Iterable[str], now: int, monotonic: float) -> list[Asked]:
        """What is to be asked now.

        One schedule of a domain runs at a time, the oldest first; those whose end has not come yet wait for it.
        """
        asked: list[Asked] = []
        for domain in domains:
            self._settle(domain, now, monotonic)
            task = self._running.get(domain) or self._start_next(domain, now, monotonic)
            if task is not None:
                asked += task.requests(monotonic)
        return asked

    def _settle(self, domain: str, now: int, monotonic: float) -> None:
        """Put a schedule aside that has ended or has to rest."""
        task = self._running.get(domain)
        if task is None or not (task.is_refused or task.state.is_ended):
            return
        del self._running[domain]
        self._known[task.state.key] = msgspec.structs.replace(task.state, kept_at=now)
        if task.is_refused:
            self._waiting.add(task.state.key)
            self._rests_until[task.state.key] = monotonic + REFUSED_SECONDS
            self._domain_rests_until[domain] = monotonic + _NEXT_AFTER_REFUSAL_SECONDS

    def _start_next(self, domain: str, now: int, monotonic: float) -> ScheduleTask | None:
        if monotonic < self._domain_rests_until.get(domain, 0.0):
            return None
        due = [
            state
            for key in self._waiting
            if (state := self._known[key]).domain == domain
            and state.end <= now
            and self._rests_until.get(key, 0.0) <= monotonic
        ]
        if not due:
            return None
        state = min(due, key=lambda each: each.turn)
        self._waiting.discard(state.key)
        self._rests_until.pop(state.key, None)
        task = self._running[domain] = self._make_task(state)
        task.start(now)
        return task

    def forgotten(self, now: int) -> list[bytes]:
        """The keys of those that ended so long ago that they are to be removed."""
        return [key for key, state in self._known.items() if is_forgotten(state, now)]

    def forget(self, keys: Iterable[bytes]) -> None:
        """They are removed from the state topic."""
        for key in keys:
            self._known.pop(key, None)
