"""What an onlooker can know of consumer groups: their members, and how far behind they are, also without members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from services.runtime.bus.api import Partition, PartitionLag
from services.runtime.bus.client import PARTITION_EOF, ErrorHook, log, misconfigured, translated
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of
from services.runtime.clock import Clock, Deadline

_ASK_SECONDS = 5.0
_LOOK_SECONDS = 2.0
# One record of each partition is enough; what is fetched beyond it is thrown away.
_FRUGAL = {"queued.min.messages": 1, "fetch.message.max.bytes": 16 * 1024, "fetch.wait.max.ms": 10}


class _First(msgspec.Struct, frozen=True):
    """What was found at a group's place in a partition: the time of its next record, or that there is none."""

    at: int
    end: int
    timestamp_ms: int | None


class Groups:
    """Asks the cluster about groups that others are members of. Used from one thread at a time."""

    def __init__(self, config: KafkaConfig, *, clock: Clock, on_error: ErrorHook) -> None:
        """Does not block.

        Raises:
            SettingsError: for a property that librdkafka refuses.

        """
        self._config, self._clock, self._on_error = config, clock, on_error
        self._admin = admin_client(config)
        self._consumer: Consumer | None = None
        self._found: dict[tuple[str, Partition], _First] = {}

    def members(self, groups: Sequence[str]) -> dict[str, int]:
        """How many members each group has; 0 for one that is not there. Blocks some seconds at most.

        Raises:
            Transient: the broker does not answer.

        """
        try:
            described = self._admin.describe_consumer_groups(list(groups), request_timeout=_ASK_SECONDS)
            return {group: len(future.result().members) for group, future in described.items()}
        except KafkaException as error:
            raise translated(error.args[0], "describe the groups") from error

    def lag(self, group: str, topics: Sequence[str]) -> list[PartitionLag]:
        """How far a group is behind on every partition of these topics. Blocks some seconds at most.

        Transaction marks after the last record are no lag. Where the group has never committed it is behind by all
        that is there. ``oldest_ms`` is None too where the record could not be looked at in time.

        Raises:
            Transient: the broker does not answer, or a topic is missing.

        """
        places = [(topic, number) for topic in topics for number in partitions_of(self._admin, topic, _ASK_SECONDS)]
        lows, ends = self._offsets(places, OffsetSpec.earliest()), self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # untyped in the library
        committed = self._committed(group, places)
        following = {place: max(committed.get(place, 0), lows[place]) for place in places}
        behind = {place: at for place, at in following.items() if at < ends[place]}
        first = self._first_records(group, behind, ends)
        lags = []
        for place in places:
            found = first.get(place)
            is_behind = place in behind and (found is None or found.timestamp_ms is not None)
            messages = ends[place] - following[place] if is_behind else 0
            lags.append(PartitionLag(*place, messages, found.timestamp_ms if found is not None else None))
        return lags

    def _offsets(self, places: Sequence[Partition], spec: Any) -> dict[Partition, int]:
        """The first or the last stable offset of each."""
        asked = {TopicPartition(*place): spec for place in places}
        try:
            futures = self._admin.list_offsets(
                asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ASK_SECONDS
            )
            return {(place.topic, place.partition): future.result().offset for place, future in futures.items()}
        except KafkaException as error:
            raise translated(error.args[0], "look up the ends of the topics") from error

    def _committed(self, group: str, places: Sequence[Partition]) -> dict[Partition, int]:
        """The committed next offsets; those that have none are left out."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
        try:
            futures = self._admin.list_consumer_group_offsets([asked], request_timeout=_ASK_SECONDS)
            found = futures[group].result().topic_partitions
        except KafkaException as error:
            raise translated(error.args[0], f"look up what {group} has committed") from error
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def _first_records(
        self, group: str, behind: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> dict[Partition, _First]:
        """The next record of each of these places, from what was found before where that still holds."""
        unknown = {
            place: at for place, at in behind.items() if not _holds(self._found.get((group, place)), at, ends[place])
        }
        if unknown:
            for place, timestamp_ms in self._look(unknown).items():
                self._found[group, place] = _First(unknown[place], ends[place], timestamp_ms)
        return {
            place: found
            for place, at in behind.items()
            if (found := self._found.get((group, place))) is not None and _holds(found, at, ends[place])
        }

    def _look(self, places: Mapping[Partition, int]) -> dict[Partition, int | None]:
        """The time of the first record at or after each place; None where there is none."""
        consumer = self._consumer = self._consumer or self._made()
        deadline = Deadline(self._clock, _LOOK_SECONDS)
        found: dict[Partition, int | None] = {}
        try:
            consumer.assign([TopicPartition(*place, at) for place, at in places.items()])
            while len(found) < len(places) and not deadline.passed:
                for message in consumer.consume(len(places), min(0.1, deadline.remaining())):
                    self._note(message, found)
            consumer.unassign()
        except KafkaException as error:
            raise translated(error.args[0], "look at the oldest records") from error
        return found

    def _note(self, message: Message, found: dict[Partition, int | None]) -> None:
        place = cast(str, message.topic()), cast(int, message.partition())
        failure = message.error()
        if failure is None:
            found.setdefault(place, message.timestamp()[1])
        elif failure.code() == PARTITION_EOF:
            found.setdefault(place, None)

    def _made(self) -> Consumer:
        settings = {
            **self._config.consumer("onlooker"),
            **_FRUGAL,
            "error_cb": lambda error: self._on_error(error.name(), error.str()),
            "logger": log,
        }
        try:
            return Consumer(settings)
        except KafkaException as error:
            raise misconfigured(error) from error

    def close(self) -> None:
        """Let the clients go. Blocks a second or so at most."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _holds(found: _First | None, at: int, end: int) -> bool:
    """Whether what was found is still so: a record stays the next one until it is passed, an end until it grows."""
    return found is not None and found.at == at and (found.timestamp_ms is not None or found.end == end)
