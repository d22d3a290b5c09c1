"""The membership in the consumer group of the commands topic: what it gives, what it takes, and the commands read."""

from __future__ import annotations

from collections.abc import Callable

from services.runtime.bus.api import Partition, Record
from services.runtime.bus.client import ErrorHook
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.metadata import admin_client, partitions_of

_MOST_COMMANDS, _MOST_BYTES, _LINGER_SECONDS = 500, 1_000_000, 0.05


class Membership:
    """Follows the group. Used from one thread."""

    def __init__(
        self, kafka: KafkaConfig, topic: str, group: str, *, on_error: ErrorHook, on_joined: Callable[[], None]
    ) -> None:
        """``topic``, ``group``: with their prefix. ``on_joined``: told of every assignment, an empty one too."""
        self._kafka, self._topic, self._group = kafka, topic, group
        self._on_error, self._on_joined = on_error, on_joined
        self._consumer: GroupConsumer | None = None
        self.partitions = 0
        """Of the commands topic; 0 before the first :meth:`consumer`."""
        self.assigned: set[Partition] = set()
        """Given, and not taken over yet: whoever has done so clears it."""
        self.revoked: set[Partition] = set()
        """Taken away, and not let go yet: whoever has done so clears it."""
        self.has_changed = False

    @property
    def consumer(self) -> GroupConsumer:
        """The member; made when it is first needed. Blocks for the topic's metadata then.

        Raises:
            Transient: Kafka is away, or there is no commands topic.

        """
        if self._consumer is None:
            self.partitions = len(partitions_of(admin_client(self._kafka), self._topic))
            self._consumer = GroupConsumer(
                self._kafka,
                self._group,
                [self._topic],
                on_error=self._on_error,
                on_assigned=self._given,
                on_revoked=self._taken,
            )
        return self._consumer

    def _given(self, places: list[Partition]) -> None:
        self.assigned.update(places)
        self.has_changed = True
        self._on_joined()

    def _taken(self, places: list[Partition]) -> None:
        self.assigned.difference_update(places)
        self.revoked.update(places)
        self.has_changed = True

    def poll(self) -> dict[Partition, list[Record]]:
        """Serve the group; the commands that have come, by partition. Blocks for some hundredths of a second.

        What was just assigned is paused: its commands are read from a place that :meth:`read_from` says.

        Raises:
            SessionLost: the group refuses this member.

        """
        records = self.consumer.poll(_MOST_COMMANDS, 0.0, most_bytes=_MOST_BYTES, linger=_LINGER_SECONDS)
        self.consumer.pause(self.assigned)
        commands: dict[Partition, list[Record]] = {}
        for record in records:
            commands.setdefault(record.place, []).append(record)
        return commands

    def read_from(self, place: Partition, offset: int) -> None:
        """Read the commands of a partition from ``offset`` on.

        Raises:
            Transient: the partition is just being given or taken: say it again.

        """
        self.consumer.rewind(place, offset)
        self.consumer.resume([place])

    def leave(self) -> None:
        """Leave the group; the next :attr:`consumer` is another member. Blocks for the coordinator."""
        self.assigned.clear()
        self.revoked.clear()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
