"""The states of the loops and of the scheduled fetches in the compacted topic ``mailgun.fetch.state``."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import FetchState
from services.contracts.reasons import Loop
from services.contracts.registry import UnknownSchema
from services.fetcher.core import loop as loops
from services.fetcher.core import schedule as schedules
from services.fetcher.core.loop import LoopState
from services.fetcher.core.schedule import Schedule
from services.fetcher.core.window import POLLING
from services.runtime.bus.api import Outgoing
from services.runtime.bus.compacted import CompactedTopic
from services.runtime.errors import Fatal


class States(msgspec.Struct):
    """What the state topic holds."""

    loops: dict[tuple[str, Loop], LoopState]
    schedules: list[Schedule]
    """Of all domains, also of those that this fetcher does not know."""


class StateTopic:
    """Reads the states back, and makes the records that keep them."""

    def __init__(self, reader: CompactedTopic, codec: Codec, prefix: str) -> None:
        """``prefix``: of the topics."""
        self._reader, self._codec = reader, codec
        self._topic = topics.prefixed(prefix, topics.FETCH_STATE)

    def read(self, domains: Collection[str]) -> States:
        """The committed states: of the polling loops of these domains, and of all schedules. Blocks until all is read.

        Raises:
            Transient: Kafka is away.
            Fatal: a state cannot be read. Guessing a cursor could lose events, so a person has to decide.

        """
        states = States({}, [])
        for key, value in self._reader.read().items():
            domain, _, name = key.decode("utf-8", "replace").partition("/")
            if name in set(Loop) and (domain not in domains or name not in POLLING):
                continue
            try:
                message = self._codec.decode(value)
            except (NotAvro, UnknownSchema) as error:
                raise Fatal(f"{self._topic}: the state of {domain}/{name} cannot be read: {error}") from error
            if not isinstance(message, FetchState):
                continue
            if name in POLLING:
                states.loops[domain, Loop(name)] = loops.restored(message)
            elif message.schedule_id is not None:
                states.schedules.append(schedules.restored(message))
        return states

    def record(self, state: LoopState | Schedule, now: int) -> Outgoing:
        """The record that keeps a state. ``now``: microseconds."""
        kept = loops.stored(state, now) if isinstance(state, LoopState) else schedules.stored(state, now)
        return Outgoing(self._topic, state.key, self._codec.encode(topics.FETCH_STATE, kept))

    def tombstone(self, key: bytes) -> Outgoing:
        """The record that removes a state."""
        return Outgoing(self._topic, key, None)
