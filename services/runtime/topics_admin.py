"""Creates the declared topics in Kafka, and compares what is there with the declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Event

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from services.contracts.topics import TopicSpec, prefixed
from services.runtime.bus.client import translated
from services.runtime.clock import rest
from services.runtime.errors import Transient

# How often, and how many seconds apart, a broker is asked whether it knows of the new topics by now.
_LOOKS, _LOOK_SECONDS = 200, 0.05


class Created(msgspec.Struct, frozen=True):
    """What :func:`create` did and found."""

    created: tuple[str, ...]
    """The topics that are new, with their prefix."""
    differences: tuple[str, ...]
    """How topics that were there already differ from their declarations, a sentence each. They are left as they are."""


def create(
    admin: AdminClient,
    specs: Sequence[TopicSpec],
    prefix: str,
    replication_factor: int | None = None,
    *,
    timeout: float = 30.0,
) -> Created:
    """Create the topics that are missing; can be done again and again. Blocks until the brokers know them.

    ``replication_factor``: copies of each partition; None leaves it to the broker. ``timeout``: seconds a question.

    Raises:
        Transient: the cluster does not answer, or refuses; the text says which.

    """
    there = _partition_counts(admin, timeout)
    missing = [spec for spec in specs if prefixed(prefix, spec.name) not in there]
    created = _created(admin, [_new_topic(spec, prefix, replication_factor) for spec in missing], timeout)
    _await_visible(admin, {prefixed(prefix, spec.name) for spec in missing}, timeout)
    present = [spec for spec in specs if prefixed(prefix, spec.name) not in created]
    return Created(tuple(created), tuple(check(admin, present, prefix, timeout=timeout)))


def check(admin: AdminClient, specs: Sequence[TopicSpec], prefix: str, *, timeout: float = 30.0) -> list[str]:
    """How the topics differ from their declarations, a sentence each; empty if they do not. Blocks.

    ``timeout``: seconds a question.

    Raises:
        Transient: the cluster does not answer, or refuses; the text says which.

    """
    partitions = _partition_counts(admin, timeout)
    names = {spec.name: prefixed(prefix, spec.name) for spec in specs}
    settings = _settings(admin, [name for name in names.values() if name in partitions], timeout)
    differences: list[str] = []
    for spec in specs:
        name = names[spec.name]
        if name in partitions:
            differences += _differences(spec, name, partitions[name], settings[name])
        else:
            differences.append(f"{name} is missing: create it with `mailriver topics create`")
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


def _created(admin: AdminClient, wanted: list[NewTopic], timeout: float) -> list[str]:
    """The topics that are new, without those that somebody else was quicker to create."""
    if not wanted:
        return []
    created = []
    for name, future in admin.create_topics(wanted, operation_timeout=timeout, request_timeout=timeout).items():
        try:
            future.result()
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translated(reason, f"create topic {name}") from error
        else:
            created.append(name)
    return created


def _await_visible(admin: AdminClient, names: set[str], timeout: float) -> None:
    """A broker learns of a new topic some milliseconds after the controller has created it."""
    never = Event()
    for _ in range(_LOOKS):
        if names <= _partition_counts(admin, timeout).keys():
            return
        rest(never, _LOOK_SECONDS)
    raise Transient("Kafka: the new topics are created, but not known to the broker yet; try again")


def _partition_counts(admin: AdminClient, timeout: float) -> dict[str, int]:
    try:
        found = admin.list_topics(timeout=timeout).topics
    except KafkaException as error:
        raise translated(error.args[0], "list the topics") from error
    return {name: len(topic.partitions) for name, topic in found.items()}


def _settings(admin: AdminClient, names: Sequence[str], timeout: float) -> dict[str, dict[str, str]]:
    """The settings in force of each topic."""
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    settings = {}
    for resource, future in admin.describe_configs(resources, request_timeout=timeout).items():
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
