"""Orders and cancellations from the commands topic, as changes of schedules. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from services.contracts.codec import Codec, NotAvro
from services.contracts.events import CancelFetch, ScheduleFetch
from services.contracts.registry import UnknownSchema
from services.fetcher.backlog import Backlog
from services.fetcher.core import schedule as schedules
from services.fetcher.core.schedule import Schedule
from services.runtime import logs
from services.runtime.bus.api import Record

QUEUED, CANCELED, REFUSED, IGNORED, UNREADABLE = "queued", "canceled", "refused", "ignored", "unreadable"
_log = logs.get("fetcher")


class Answers(msgspec.Struct):
    """What commands lead to: the schedules as they are to be written, by their keys, and what became of each."""

    schedules: dict[bytes, Schedule]
    results: list[str]


class CommandReader:
    """Judges commands. None of them can hold up the next: what cannot be carried out is answered or passed over."""

    def __init__(self, codec: Codec, domains: Collection[str], partition_of: Callable[[str], int]) -> None:
        """``domains``: those of this fetcher. ``partition_of``: where the commands of a domain belong."""
        self._codec, self._domains, self._partition_of = codec, domains, partition_of

    def read(self, records: Sequence[Record], backlog: Backlog, now: int) -> Answers:
        """What these commands of one partition lead to, in their order; nothing is changed yet.

        Raises:
            RegistryUnavailable: a schema has to be asked for and cannot be: read them again.

        """
        answers = Answers({}, [])
        for number, record in enumerate(records):
            # A microsecond apart, so that they stay in order after a restart.
            answers.results.append(self._answer(record, backlog, answers.schedules, now + number))
        return answers

    def _answer(self, record: Record, backlog: Backlog, changed: dict[bytes, Schedule], now: int) -> str:
        try:
            command = self._codec.decode(record.value)
        except (NotAvro, UnknownSchema) as error:
            return self._passed_over(record, UNREADABLE, str(error))
        if not isinstance(command, ScheduleFetch | CancelFetch):
            return self._passed_over(record, UNREADABLE, f"{type(command).__name__} is no command")
        if not schedules.is_usable(command):
            return self._passed_over(record, REFUSED, "its schedule id or domain can be none")
        if self._partition_of(command.domain) != record.partition:
            return self._passed_over(record, REFUSED, "its key is not its domain, so it is in a wrong partition")
        key = schedules.key_of(command.domain, command.schedule_id)
        known = changed.get(key) or backlog.get(key)
        state = self._changed(command, known, now)
        if state is None:
            is_order = isinstance(command, ScheduleFetch)
            why = "there is a schedule of this id" if is_order else "there is no such schedule that has not ended"
            return self._passed_over(record, IGNORED, why)
        changed[key] = state
        return self._told(record, state)

    def _changed(self, command: ScheduleFetch | CancelFetch, known: Schedule | None, now: int) -> Schedule | None:
        """The schedule after a command; None if there is nothing to change."""
        if isinstance(command, ScheduleFetch):
            return schedules.ordered(command, self._domains, now) if known is None else None
        return None if known is None or known.is_ended else schedules.canceled(known, now)

    def _told(self, record: Record, state: Schedule) -> str:
        if state.status == schedules.FAILED:
            _log.warning("schedule_refused", offset=record.offset, schedule=state.schedule_id, error=state.last_error)
            return REFUSED
        if state.status == schedules.CANCELED:
            _log.info("schedule_canceled", domain=state.domain, schedule=state.schedule_id)
            return CANCELED
        _log.info("schedule_queued", domain=state.domain, schedule=state.schedule_id)
        return QUEUED

    def _passed_over(self, record: Record, result: str, error: str) -> str:
        _log.warning(
            "command_passed_over", partition=record.partition, offset=record.offset, result=result, error=error
        )
        return result
