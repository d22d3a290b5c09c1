"""The declared topics in a real Kafka."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from services.contracts import topics
from services.contracts.topics import TopicSpec
from services.runtime import resources, topics_admin
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.metadata import admin_client, partitions_of
from services.runtime.errors import Transient
from services.sandbox.folders import cache_root
from services.sandbox.kafka import EmbeddedKafka
from services.sandbox.maven import KAFKA_POM, resolve
from services.sandbox.ports import LOOPBACK, free_port

pytestmark = pytest.mark.integration

SPECS = resources.topic_specs()


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminClient]:
    libs = resolve(KAFKA_POM, cache_root(os.environ), os.environ)
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka"), libs=libs) as kafka:
        yield admin_client(KafkaConfig(kafka.bootstrap))


def changed(name: str, **changes: object) -> list[TopicSpec]:
    """The declarations, one of them changed."""
    return [msgspec.structs.replace(spec, **changes) if spec.name == name else spec for spec in SPECS]


def test_topics_are_created_once_as_declared(admin: AdminClient) -> None:
    """The second time nothing is left to do, and the check finds no difference."""
    first = topics_admin.create(admin, SPECS, "once.", 1)
    assert set(first.created) == {f"once.{name}" for name in topics.ALL}
    assert first.differences == ()
    assert len(partitions_of(admin, f"once.{topics.RAW}")) == 6
    assert topics_admin.create(admin, SPECS, "once.", 1) == topics_admin.Created((), ())
    assert topics_admin.check(admin, SPECS, "once.") == []


def test_only_what_is_missing_is_created(admin: AdminClient) -> None:
    """The broker's own replication factor is the default."""
    topics_admin.create(admin, SPECS[:2], "some.")
    result = topics_admin.create(admin, SPECS, "some.")
    assert set(result.created) == {f"some.{name}" for name in topics.ALL[2:]}


def test_missing_topics_are_told(admin: AdminClient) -> None:
    """A sentence each, with what to do."""
    differences = topics_admin.check(admin, SPECS, "nowhere.")
    assert len(differences) == len(SPECS)
    assert differences[0] == f"nowhere.{topics.RAW} is missing: create it with `mailriver topics create`"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"partitions": 12}, "has 6 partitions, declared are 12"),
        ({"retention_ms": 1000}, "has retention.ms = 604800000, declared is 1000"),
        ({"max_message_bytes": 5}, "has max.message.bytes = 4194304, declared is 5"),
        ({"cleanup_policy": "compact", "retention_ms": None}, "has cleanup.policy = delete, declared is compact"),
    ],
)
def test_differences_are_told_and_left_alone(admin: AdminClient, changes: dict[str, object], expected: str) -> None:
    """Neither check nor create changes a topic that is there."""
    topics_admin.create(admin, SPECS, "kept.", 1)
    specs = changed(topics.RAW, **changes)
    told = [f"kept.{topics.RAW} {expected}"]
    assert topics_admin.check(admin, specs, "kept.") == told
    assert topics_admin.create(admin, specs, "kept.", 1) == topics_admin.Created((), tuple(told))
    assert topics_admin.check(admin, SPECS, "kept.") == []


def test_what_the_broker_refuses_is_told(admin: AdminClient) -> None:
    """One broker cannot keep three copies."""
    with pytest.raises(Transient, match=r"create topic refused\.mailgun"):
        topics_admin.create(admin, SPECS[:1], "refused.", 3)


def test_a_cluster_that_does_not_answer_is_transient() -> None:
    """Nothing listens there: the error says what was tried."""
    nobody = admin_client(KafkaConfig(f"{LOOPBACK}:{free_port(set())}"))
    with pytest.raises(Transient, match="list the topics"):
        topics_admin.check(nobody, SPECS, "", timeout=1.0)
