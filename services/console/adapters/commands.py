"""Orders to the fetcher, in the topic ``mailgun.fetch.commands``."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from services.console.core.schedules import Order, schedule_id
from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.events import CancelFetch, ScheduleFetch
from services.contracts.registry import RegistryUnavailable
from services.runtime.bus.api import Outgoing
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.sender import Sender
from services.runtime.clock import Clock, micros
from services.runtime.errors import Transient


class Commands:
    """Writes commands. Safe for threads."""

    def __init__(
        self, sender: Sender, codec: Codec, prefix: str, *, clock: Clock, new_id: Callable[[int], str]
    ) -> None:
        """``prefix``: of the topics. ``new_id``: an id for an order of now, in microseconds."""
        self._sender, self._codec, self._clock, self._new_id = sender, codec, clock, new_id
        self._topic = topics.prefixed(prefix, topics.FETCH_COMMANDS)

    def schedule(self, order: Order) -> ScheduleFetch:
        """Order a fetch. Blocks until Kafka has the command.

        Raises:
            Transient: Kafka or the schema registry is away; it was given up.

        """
        now = micros(self._clock)
        command = ScheduleFetch(
            schedule_id=self._new_id(now),
            domain=order.domain,
            begin=order.begin,
            end=order.end,
            event_types=order.event_types,
            requested_at=now,
        )
        self._write(command)
        return command

    def cancel(self, schedule_id: str, domain: str) -> CancelFetch:
        """Order a scheduled fetch to stop. Blocks and raises like :meth:`schedule`."""
        command = CancelFetch(schedule_id=schedule_id, domain=domain, requested_at=micros(self._clock))
        self._write(command)
        return command

    def _write(self, command: ScheduleFetch | CancelFetch) -> None:
        try:
            value = self._codec.encode(topics.FETCH_COMMANDS, command)
        except RegistryUnavailable as error:
            raise Transient(f"schema registry: {error}") from error
        self._sender.send(Outgoing(self._topic, command.domain.encode(), value))

    def close(self) -> None:
        """Let the producer go."""
        self._sender.close()


def commands_of(kafka: KafkaConfig, codec: Codec, prefix: str, clock: Clock) -> Commands:
    """The writer of commands, whose schedules get ids that nobody guesses or meets twice."""
    return Commands(
        Sender(kafka, on_error=lambda _name, _text: None),
        codec,
        prefix,
        clock=clock,
        new_id=lambda now: schedule_id(now, secrets.randbits(25)),
    )
