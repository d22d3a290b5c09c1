"""Topic declarations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.contracts import topics
from services.contracts.events import MESSAGES
from services.runtime import resources

DAY_MS = 24 * 3600 * 1000
MIB = 1024 * 1024
SPECS = {spec.name: spec for spec in resources.topic_specs()}


def declaration(**changes: Any) -> dict[str, Any]:
    """A right declaration, with changes."""
    fields: dict[str, Any] = msgspec.to_builtins(SPECS[topics.RAW])
    return fields | changes


def test_a_declaration_is_parsed() -> None:
    """What is declared is what is known."""
    assert topics.parse_spec(declaration()) == SPECS[topics.RAW]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partitions": 0}, "partitions"),
        ({"partitions": "6"}, "partitions"),
        ({"retention_ms": 0}, "retention_ms"),
        ({"cleanup_policy": "forget"}, "cleanup_policy"),
        ({"retentionms": 5}, "retentionms"),
        ({"name": "with blank"}, "letters, digits"),
        ({"cleanup_policy": "compact"}, "retention_ms must be null"),
        ({"retention_ms": None}, "retention_ms must be null"),
    ],
)
def test_a_wrong_declaration_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the topic and what is wrong."""
    with pytest.raises(ValueError, match=message):
        topics.parse_spec(declaration(**changes))


def test_a_declaration_without_a_field_is_refused() -> None:
    """Nothing has a silent default."""
    for name in topics.TopicSpec.__struct_fields__:
        incomplete = declaration()
        del incomplete[name]
        with pytest.raises(ValueError, match=name):
            topics.parse_spec(incomplete)


@pytest.mark.parametrize(
    ("names", "cleanup_policy", "retention_days", "partitions", "max_bytes"),
    [
        ([topics.RAW], "delete", 7, 6, topics.RAW_MAX_BYTES),
        (topics.RAW_RETRIES, "delete", 3, 6, topics.RAW_MAX_BYTES + 128 * 1024),
        ([topics.EMAIL_EVENTS], "delete", 30, 6, topics.EMAIL_EVENTS_MAX_BYTES),
        ([topics.RAW_DLQ, topics.EMAIL_EVENTS_DLQ], "delete", 30, 1, 4 * MIB + 128 * 1024),
        ([topics.DLQ_REPLAYS], "compact", None, 1, 1_048_588),
        ([topics.FETCH_COMMANDS], "delete", 7, 6, 1_048_588),
        ([topics.FETCH_STATE], "compact", None, 6, 8 * MIB),
    ],
)
def test_the_topics_are_those_of_the_design(
    names: list[str], cleanup_policy: str, retention_days: int | None, partitions: int, max_bytes: int
) -> None:
    """Policy, retention, partitions and sizes are promises to operators."""
    for spec in (SPECS[name] for name in names):
        assert spec.cleanup_policy == cleanup_policy
        assert spec.retention_ms == (None if retention_days is None else retention_days * DAY_MS)
        assert spec.partitions == partitions
        assert spec.max_message_bytes == max_bytes
        assert spec.compression == "producer"


def test_a_dead_letter_fits_its_topic() -> None:
    """A record as large as its topic takes is kept whole, with headers of up to 128 KiB."""
    assert SPECS[topics.RAW_DLQ].max_message_bytes - topics.RAW_MAX_BYTES == 128 * 1024
    assert SPECS[topics.EMAIL_EVENTS_DLQ].max_message_bytes - topics.EMAIL_EVENTS_MAX_BYTES == 128 * 1024


def test_every_record_has_the_topic_that_declares_it() -> None:
    """RECORD_TOPICS is the declarations turned round; the retry topics take the raw topic's records."""
    declared = {
        record: spec.name for spec in SPECS.values() if spec.name not in topics.RAW_RETRIES for record in spec.records
    }
    assert declared == dict(topics.RECORD_TOPICS)
    assert set(declared) == {each.__name__ for each in MESSAGES}


def test_services_that_read_and_write_are_services() -> None:
    """A misspelt one would mislead who reads the declarations."""
    services = {"fetcher", "processor", "storage", "console"}
    for spec in SPECS.values():
        assert set(spec.producers) <= services
        assert set(spec.consumers) <= services
    assert SPECS[topics.RAW].consumers == ("processor",)
    assert SPECS[topics.EMAIL_EVENTS].producers == ("processor", "console")


def test_a_prefix_goes_before_the_name_and_not_into_the_subject() -> None:
    """Ids of schemas do not depend on TOPIC_PREFIX."""
    assert topics.prefixed("", topics.RAW) == "mailgun.events.raw"
    assert topics.prefixed("staging.", topics.RAW) == "staging.mailgun.events.raw"
    assert topics.subject(topics.RAW, "RawMailgunEvent") == "mailgun.events.raw-mailriver.v1.RawMailgunEvent"
