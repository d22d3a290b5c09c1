"""The states of the loops in the compacted topic ``mailgun.fetch.state``."""

from __future__ import annotations

from collections.abc import Collection

from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import FetchState
from services.contracts.reasons import Loop
from services.contracts.registry import UnknownSchema
from services.fetcher.core.loop import LoopState, restored, stored
from services.fetcher.core.window import POLLING
from services.runtime.bus.api import Outgoing
from services.runtime.bus.compacted import CompactedTopic
from services.runtime.errors import Fatal


class StateTopic:
    """Reads the states back, and makes the records that keep them."""

    def __init__(self, reader: CompactedTopic, codec: Codec, prefix: str) -> None:
        """``prefix``: of the topics."""
        self._reader, self._codec = reader, codec
        self._topic = topics.prefixed(prefix, topics.FETCH_STATE)

    def read(self, domains: Collection[str]) -> dict[tuple[str, Loop], LoopState]:
        """The committed states of the polling loops of these domains. Blocks until the topic is read to its end.

        Raises:
            Transient: Kafka is away.
            Fatal: a state cannot be read. Guessing a cursor could lose events, so a person has to decide.

        """
        states: dict[tuple[str, Loop], LoopState] = {}
        for key, value in self._reader.read().items():
            domain, _, name = key.decode("utf-8", "replace").rpartition("/")
            if domain not in domains or name not in POLLING:
                continue
            try:
                message = self._codec.decode(value)
            except (NotAvro, UnknownSchema) as error:
                raise Fatal(f"{self._topic}: the state of {domain}/{name} cannot be read: {error}") from error
            if isinstance(message, FetchState):
                states[domain, Loop(name)] = restored(message)
        return states

    def record(self, state: LoopState, now: int) -> Outgoing:
        """The record that keeps a state. ``now``: microseconds."""
        return Outgoing(self._topic, state.key, self._codec.encode(topics.FETCH_STATE, stored(state, now)))
