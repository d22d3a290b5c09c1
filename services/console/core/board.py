"""The present picture of all loops and schedules, from the records of two topics in whatever order they come."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from services.console.core.loops import LoopRow, loop_row
from services.console.core.requests import cursor_of
from services.console.core.schedules import Schedule, ScheduleRow, schedule_row
from services.console.core.times import iso
from services.contracts.events import CancelFetch, FetchState, ScheduleFetch
from services.contracts.reasons import Loop

LoopKey = tuple[str, str]
K = TypeVar("K", LoopKey, str)
_POLLING = frozenset({Loop.LATEST, Loop.LATEST_OPENED, Loop.MISSING})
_MOST_REMOVED = 10_000


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of both lists goes on: after these; None: that list is at its end."""

    loop: LoopKey | None
    schedule: str | None


FIRST = Position(("", ""), "")


class Page(msgspec.Struct, frozen=True):
    """A part of both lists: loops by domain and loop, schedules by id."""

    loops: list[LoopRow]
    schedules: list[ScheduleRow]
    next: Position | None


def listing(page: Page, known_at: float | None) -> dict[str, Any]:
    """A page as ``GET /api/loops`` gives it. ``known_at``: up to when it is known, in seconds."""
    return {
        "loops": page.loops,
        "schedules": page.schedules,
        "next": cursor_of(page.next) if page.next else None,
        "as_of": iso(None if known_at is None else int(known_at * 1_000_000)),
    }


class Removed(msgspec.Struct, frozen=True):
    """What is not there any more."""

    loops: list[LoopKey]
    schedules: list[str]


class Changes(msgspec.Struct, frozen=True):
    """What is new since a version."""

    version: int
    loops: list[LoopRow]
    schedules: list[ScheduleRow]
    removed: Removed

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.loops or self.schedules or self.removed.loops or self.removed.schedules)


class Board:
    """Takes what the topics say, one record after the other. Not safe for threads."""

    def __init__(self) -> None:
        self.version = 0
        self._loops: dict[LoopKey, FetchState] = {}
        self._schedules: dict[str, Schedule] = {}
        self._changed: dict[LoopKey | str, int] = {}
        self._removed: set[LoopKey | str] = set()
        self._loop_keys: list[LoopKey] | None = None
        self._schedule_keys: list[str] | None = None

    def take(self, message: FetchState | ScheduleFetch | CancelFetch) -> None:
        """A loop's or schedule's new state, or an order."""
        match message:
            case FetchState(schedule_id=None):
                key = message.domain, message.loop
                self._loop_keys = self._loop_keys if key in self._loops else None
                self._loops[key] = message
                self._removed.discard(key)
                self._note(key)
            case FetchState():
                name = str(message.schedule_id)
                self._amend(name, msgspec.structs.replace(self._known(name), state=message))
            case ScheduleFetch():
                self._amend(
                    message.schedule_id, msgspec.structs.replace(self._known(message.schedule_id), order=message)
                )
            case CancelFetch():
                self._amend(
                    message.schedule_id, msgspec.structs.replace(self._known(message.schedule_id), cancel=message)
                )

    def remove(self, domain: str, name: str) -> None:
        """A loop or schedule has been deleted from the state topic; its order in the other one stays hidden."""
        key: LoopKey | str = (domain, name) if name in _POLLING else name
        if isinstance(key, str):
            self._schedules.pop(key, None)
            self._schedule_keys = None
        else:
            self._loops.pop(key, None)
            self._loop_keys = None
        self._removed.add(key)
        self._note(key)

    def find(self, schedule_id: str) -> Schedule | None:
        """A schedule by its id."""
        found = self._schedules.get(schedule_id)
        return found if found is not None and found.has_range else None

    def page(self, after: Position, limit: int, now: int) -> Page:
        """Up to ``limit`` entries of each list that follow a position. ``now``: microseconds."""
        self._loop_keys = self._loop_keys or sorted(self._loops)
        self._schedule_keys = self._schedule_keys or sorted(key for key, it in self._schedules.items() if it.has_range)
        loops, more_loops = _following(self._loop_keys, after.loop, limit)
        schedules, more_schedules = _following(self._schedule_keys, after.schedule, limit)
        follows = Position(loops[-1] if more_loops else None, schedules[-1] if more_schedules else None)
        return Page(
            [loop_row(self._loops[key], now) for key in loops],
            [schedule_row(key, self._schedules[key], now) for key in schedules],
            follows if more_loops or more_schedules else None,
        )

    def changes(self, since: int, now: int) -> Changes:
        """What became different after a version."""
        keys = list(self._changed_after(since))
        loops = [key for key in keys if isinstance(key, tuple)]
        schedules = [key for key in keys if isinstance(key, str)]
        return Changes(
            self.version,
            [loop_row(self._loops[key], now) for key in loops if key in self._loops],
            [schedule_row(key, found, now) for key in schedules if (found := self.find(key)) is not None],
            Removed(
                [key for key in loops if key not in self._loops],
                [key for key in schedules if key not in self._schedules],
            ),
        )

    def _changed_after(self, since: int) -> Iterable[LoopKey | str]:
        for key in reversed(self._changed):
            if self._changed[key] <= since:
                return
            yield key

    def _known(self, name: str) -> Schedule:
        return self._schedules.get(name) or Schedule()

    def _amend(self, name: str, schedule: Schedule) -> None:
        if name in self._removed and schedule.state is None:
            return
        self._removed.discard(name)
        before = self._schedules.get(name)
        if before == schedule:
            return  # a command of our own, read back
        if before is None or before.has_range != schedule.has_range:
            self._schedule_keys = None
        self._schedules[name] = schedule
        self._note(name)

    def _note(self, key: LoopKey | str) -> None:
        self.version += 1
        self._changed.pop(key, None)
        self._changed[key] = self.version
        if len(self._removed) > _MOST_REMOVED:
            gone = next(each for each in self._changed if each in self._removed)
            self._removed.discard(gone)
            del self._changed[gone]


def _following(keys: Sequence[K], after: K | None, limit: int) -> tuple[Sequence[K], bool]:
    """The keys after one, and whether there are more after these."""
    if after is None:
        return [], False
    begin = bisect_right(keys, after)
    return keys[begin : begin + limit], begin + limit < len(keys)
