"""A member of a consumer group, on librdkafka.

No exception leaves a callback: confluent-kafka would let it out of ``consume()`` in forms that no ``except`` catches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from services.runtime.bus.api import Partition, PartitionLag, Record
from services.runtime.bus.client import (
    PARTITION_EOF,
    ErrorHook,
    log,
    misconfigured,
    positions,
    record_of,
    translated,
)
from services.runtime.bus.config import KafkaConfig
from services.runtime.errors import SessionLost, Transient

_CHUNK = 2_000
_LINGER_SECONDS = 0.01
# A chunk that comes back with less than a twentieth of what was asked for means: there is no backlog.
_SPARSE = 20


class GroupConsumer:
    """A member of a consumer group, used from one thread."""

    def __init__(
        self,
        config: KafkaConfig,
        group: str,
        topics: Sequence[str],
        *,
        on_error: ErrorHook,
        on_assigned: Callable[[list[Partition]], None] | None = None,
        on_revoked: Callable[[list[Partition]], None] | None = None,
    ) -> None:
        """Subscribes; the group is joined by the polls that follow. The callbacks must not raise."""
        self.assigned: set[Partition] = set()
        self._fresh: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._asked: dict[Partition, int] = {}
        self._polled: dict[Partition, int] = {}
        self._batch: list[Record] = []
        self._tell_assigned, self._tell_revoked = on_assigned, on_revoked
        self._on_error = on_error
        try:
            self._consumer = Consumer({**config.consumer(group), "error_cb": self._error, "logger": log})
        except KafkaException as error:
            raise misconfigured(error) from error
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _error(self, error: KafkaError) -> None:
        self._on_error(error.name(), error.str())

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        self.assigned.update(places)
        self._fresh.update(places)
        if self._tell_assigned:
            self._tell_assigned(places)

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        self.assigned.difference_update(places)
        gone = set(places)
        for place in places:
            for known in (self._ends, self._asked, self._polled):
                known.pop(place, None)
        # Whoever takes these partitions over reads the same records: what was polled and not handled is theirs.
        self._batch = [record for record in self._batch if record.place not in gone]
        if self._tell_revoked:
            self._tell_revoked(places)

    def poll(self, most: int, timeout: float, *, most_bytes: int, linger: float) -> list[Record]:
        """Up to ``most`` records, as many as come at once: blocks ``timeout`` seconds for the first.

        After the first it goes on while records keep coming, up to ``linger`` seconds, so that a batch
        grows with the backlog and a lone record passes in milliseconds. Serves rebalances.

        Raises:
            SessionLost: the group or the broker refuses this member.

        """
        self._batch = []
        self._consume(1, timeout)
        waited = 0.0
        while self._batch and waited < linger:
            wanted = min(_CHUNK, most - len(self._batch))
            if wanted <= 0 or sum(len(record.value or b"") for record in self._batch) >= most_bytes:
                break
            got = self._consume(wanted, _LINGER_SECONDS)
            waited += _LINGER_SECONDS if got < wanted else 0.0
            if got * _SPARSE < wanted:
                break
        batch, self._batch = self._batch, []
        for record in batch:
            self._polled[record.place] = record.offset + 1
        return batch

    def _consume(self, most: int, timeout: float) -> int:
        try:
            messages = self._consumer.consume(most, timeout)
        except KafkaException as error:
            # What this poll has read already would be passed over by the next one: read it again from the start.
            raise SessionLost(str(translated(error.args[0], "consume"))) from error
        if self._fresh:
            # librdkafka keeps a pause over a rebalance; who paused was told that the partition is gone.
            self.resume(self._fresh)
            self._fresh.clear()
        for message in messages:
            failure = message.error()
            if failure is None:
                self._batch.append(record_of(message))
            elif failure.code() == PARTITION_EOF:
                self._ends[cast(str, message.topic()), cast(int, message.partition())] = cast(int, message.offset())
            elif isinstance(translated(failure, "consume"), SessionLost):
                raise translated(failure, "consume")
            else:
                self._on_error(failure.name(), failure.str())
        return len(messages)

    def rewind(self, place: Partition, offset: int) -> None:
        """Read this partition again from ``offset`` on.

        Raises:
            Transient: if the partition is just being taken or given away; ask again later.

        """
        try:
            self._consumer.seek(TopicPartition(place[0], place[1], offset))
        except KafkaException as error:
            raise translated(error.args[0], "seek") from error

    def pause(self, places: Iterable[Partition]) -> None:
        """Fetch nothing of these partitions until resumed or revoked; poll has to be called all the same."""
        if wanted := [TopicPartition(*place) for place in places if place in self.assigned]:
            self._consumer.pause(wanted)

    def resume(self, places: Iterable[Partition]) -> None:
        """The end of a pause."""
        if wanted := [TopicPartition(*place) for place in places if place in self.assigned]:
            self._consumer.resume(wanted)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the next offset of each partition. Blocks until the group's coordinator has it.

        Raises:
            Transient: not committed; the records will come again.

        """
        try:
            done = self._consumer.commit(offsets=positions(offsets), asynchronous=False)
        except KafkaException as error:
            raise translated(error.args[0], "commit") from error
        for each in done or ():
            if each.error is not None:
                raise translated(each.error, "commit")

    def committed(self, places: Iterable[Partition], timeout: float = 10.0) -> dict[Partition, int]:
        """The committed next offset of each partition, 0 where there is none yet. Blocks."""
        wanted = [TopicPartition(*place) for place in places]
        try:
            found = self._consumer.committed(wanted, timeout=timeout)
        except KafkaException as error:
            raise translated(error.args[0], "read committed offsets") from error
        for each in found:
            if each.error is not None:
                raise translated(each.error, "read committed offsets")
        return {
            (each.topic, each.partition): 0 if each.offset in (OFFSET_INVALID, OFFSET_BEGINNING) else each.offset
            for each in found
        }

    def group_metadata(self) -> Any:
        """The member's generation, for :meth:`TransactionalProducer.commit`.

        Raises:
            Transient: it is no member at present. Kafka would take offsets without a member's id unfenced.

        """
        metadata = self._consumer.consumer_group_metadata()
        # Asked after it: an id once lost comes back only by polls, which are made from this thread.
        if not self._consumer.memberid():
            raise Transient("Kafka: this consumer is no member of its group at present")
        return metadata

    def lag(self, next_offsets: Mapping[Partition, int], oldest_ms: Mapping[Partition, int]) -> list[PartitionLag]:
        """The lag of each assigned partition, from the watermarks that fetches told; asks nobody.

        ``next_offsets``: the next offset to commit. ``oldest_ms``: the time of the oldest record not processed, or
        of the last processed one where nothing newer has been polled. Once a partition was read to its end, the
        transaction marks that follow its last record do not count: they are offsets, but no records.
        """
        lags = []
        for place in sorted(self.assigned & next_offsets.keys()):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            high = max(high, self._asked.get(place, -1))
            following = max(next_offsets[place], low)
            if (end := self._ends.get(place, -1)) >= high and self._reached(place, following):
                following = max(following, end)
            behind = max(0, high - following)
            lags.append(PartitionLag(place[0], place[1], behind, oldest_ms.get(place) if behind else None))
        return lags

    def done_through(self, next_offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """For each assigned partition the offset below which there is no record left to process; asks nobody.

        ``next_offsets``: the next offset to commit. Transaction marks behind the last record count as done once the
        partition was read to its end.
        """
        return {place: self._past_marks(place, next_offsets[place]) for place in self.assigned & next_offsets.keys()}

    def _past_marks(self, place: Partition, following: int) -> int:
        return max(following, self._ends.get(place, -1)) if self._reached(place, following) else following

    def _reached(self, place: Partition, following: int) -> bool:
        return self._polled.get(place, following) <= following

    def ask_watermarks(self, places: Iterable[Partition], timeout: float = 2.0) -> None:
        """Ask the broker for the ends of partitions that are paused and so learn nothing from fetches. Blocks.

        Raises:
            Transient: the broker does not answer.

        """
        for place in places:
            try:
                found = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=timeout, cached=False)
            except KafkaException as error:
                raise translated(error.args[0], "look up the end of a partition") from error
            self._asked[place] = found[1]

    def close(self) -> None:
        """Leave the group. Blocks for the coordinator, some seconds at most."""
        self._consumer.close()
