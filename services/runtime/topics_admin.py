"""Creates the declared topics in Kafka, and compares what is there with the declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from services.contracts.topics import TopicSpec, prefixed
from services.runtime.bus.client import translated

_TIMEOUT_SECONDS = 30.0


class Created(msgspec.Struct, frozen=True):
    """What :func:`create` did and found."""

    created: tuple[str, ...]
    """The topics that are new, with their prefix."""
    differences: tuple[str, ...]
    """How topics that were there already differ from their declarations, a sentence each. They are left as they are."""


def create(
    admin: AdminClient, specs: Sequence[TopicSpec], prefix: str, replication_factor: int | None = None
) -> Created:
    """Create the topics that are missing; can be done again and again. Blocks.

    ``replication_factor``: copies of each partition; None leaves it to the broker.

    Raises:
        Transient: the cluster does not answer, or refuses; the text says which.

    """
    missing = [spec for spec in specs if prefixed(prefix, spec.name) not in _partition_counts(admin)]
    created = []
    if missing:
        wanted = [_new_topic(spec, prefix, replication_factor) for spec in missing]
        for name, future in admin.create_topics(wanted, operation_timeout=_TIMEOUT_SECONDS).items():
            if _was_created(name, future):
                created.append(name)
    present = [spec for spec in specs if prefixed(prefix, spec.name) not in created]
    return Created(tuple(created), tuple(check(admin, present, prefix)))


def check(admin: AdminClient, specs: Sequence[TopicSpec], prefix: str) -> list[str]:
    """How the topics differ from their declarations, a sentence each; empty if they do not. Blocks.

    Raises:
        Transient: the cluster does not answer, or refuses; the text says which.

    """
    partitions = _partition_counts(admin)
    present = [spec for spec in specs if prefixed(prefix, spec.name) in partitions]
    settings = _settings(admin, [prefixed(prefix, spec.name) for spec in present])
    differences: list[str] = []
    for spec in specs:
        name = prefixed(prefix, spec.name)
        if name not in partitions:
            differences.append(f"{name} is missing: create it with `mailriver topics create`")
            continue
        differences += _differences(spec, name, partitions[name], settings[name])
    return differences


def _configuration(spec: TopicSpec) -> dict[str, str]:
    """What is set at the topic itself, in Kafka's words."""
    settings = {
        "cleanup.policy": spec.cleanup_policy,
        "max.message.bytes": str(spec.max_message_bytes),
        "compression.type": spec.compression,
    }
    return settings if spec.retention_ms is None else settings | {"retention.ms": str(spec.retention_ms)}


def _new_topic(spec: TopicSpec, prefix: str, replication_factor: int | None) -> NewTopic:
    return NewTopic(
        prefixed(prefix, spec.name),
        num_partitions=spec.partitions,
        replication_factor=-1 if replication_factor is None else replication_factor,
        config=_configuration(spec),
    )


def _was_created(name: str, future: Any) -> bool:
    """Whether the topic is new; False if somebody else was quicker."""
    try:
        future.result()
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise translated(reason, f"create topic {name}") from error
    return True


def _partition_counts(admin: AdminClient) -> dict[str, int]:
    try:
        found = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise translated(error.args[0], "list the topics") from error
    return {name: len(topic.partitions) for name, topic in found.items()}


def _settings(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings in force of each topic."""
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    settings = {}
    for resource, future in admin.describe_configs(resources, request_timeout=_TIMEOUT_SECONDS).items():
        try:
            entries = future.result()
        except KafkaException as error:
            raise translated(error.args[0], f"read the settings of topic {resource.name}") from error
        settings[resource.name] = {entry.name: str(entry.value) for entry in entries.values()}
    return settings


def _differences(spec: TopicSpec, name: str, partitions: int, settings: Mapping[str, str]) -> Iterator[str]:
    if partitions != spec.partitions:
        yield f"{name} has {partitions} partitions, declared are {spec.partitions}"
    for setting, declared in _configuration(spec).items():
        actual = settings.get(setting)
        if actual != declared:
            yield f"{name} has {setting} = {actual}, declared is {declared}"
