"""What the check of the schemas says no to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.contracts.registry import Schema, SchemaFiles
from services.runtime import resources
from services.runtime.schema_check import problems, register
from tests.support.schemas import files_of, schema, with_field, without_field

RECORD = "EmailBounced"
NULLABLE: dict[str, Any] = {"name": "country", "type": ["null", "string"], "default": None}


def retyped(name: str, avro_type: Any) -> Schema:
    changed = schema(RECORD)
    (field,) = (each for each in changed["fields"] if each["name"] == name)
    field["type"] = avro_type
    return changed


def with_texts(files: SchemaFiles, **changes: str | None) -> SchemaFiles:
    """Files with texts changed or, where None, taken away. Keys are paths with / written as __."""
    texts = dict(files.texts)
    for key, text in changes.items():
        path = key.replace("__", "/") + ".avsc"
        if text is None:
            del texts[path]
        else:
            texts[path] = text
    return SchemaFiles(files.lock, texts)


def with_lock(files: SchemaFiles, lock: dict[str, dict[str, str]]) -> SchemaFiles:
    return SchemaFiles(json.dumps(lock), files.texts)


def test_the_committed_schemas_have_no_problems() -> None:
    """The check passes on what is shipped."""
    assert problems(resources.schema_files()) == []


@pytest.mark.parametrize(
    ("current", "older"),
    [
        pytest.param(with_field(RECORD, NULLABLE), schema(RECORD), id="a nullable field more"),
        pytest.param(schema(RECORD), with_field(RECORD, NULLABLE), id="a nullable field less"),
        pytest.param(schema(RECORD) | {"doc": "Other words."}, schema(RECORD), id="other words"),
    ],
)
def test_compatible_changes_pass(current: Schema, older: Schema) -> None:
    """What both sides can read may be published."""
    assert problems(files_of(RECORD, current, older)) == []


@pytest.mark.parametrize(
    ("current", "older", "expected"),
    [
        pytest.param(
            without_field(RECORD, "recipient"),
            schema(RECORD),
            "history/EmailBounced/1.avsc cannot read what was written with EmailBounced.avsc",
            id="a field without default removed",
        ),
        pytest.param(
            with_field(RECORD, {"name": "country", "type": "string"}),
            schema(RECORD),
            "EmailBounced.avsc cannot read what was written with history/EmailBounced/1.avsc",
            id="a field without default added",
        ),
        pytest.param(
            retyped("recipient", "bytes"),
            retyped("recipient", "long"),
            "EmailBounced.avsc cannot read what was written with history/EmailBounced/1.avsc",
            id="a type changed",
        ),
        pytest.param(
            retyped("severity", ["null", "string"]),
            schema(RECORD),
            "history/EmailBounced/1.avsc cannot read what was written with EmailBounced.avsc",
            id="null allowed where it was not",
        ),
    ],
)
def test_incompatible_changes_are_problems(current: Schema, older: Schema, expected: str) -> None:
    """Old consumers must read new records, and new consumers old ones."""
    assert any(problem.startswith(expected) for problem in problems(files_of(RECORD, current, older)))


def test_every_published_version_is_checked_and_not_only_the_last() -> None:
    """Records of all versions are in Kafka."""
    first = with_field(RECORD, {"name": "country", "type": ["null", "long"], "default": None})
    current = with_field(RECORD, NULLABLE)
    found = problems(files_of(RECORD, current, first, schema(RECORD)))
    assert [problem.partition(":")[0] for problem in found] == [
        "EmailBounced.avsc cannot read what was written with history/EmailBounced/1.avsc",
        "history/EmailBounced/1.avsc cannot read what was written with EmailBounced.avsc",
    ]


def test_a_schema_that_was_not_published_is_a_problem() -> None:
    """Without history, or changed since: the sentence says what to do."""
    files = files_of(RECORD, schema(RECORD))
    (unpublished,) = problems(with_texts(files, history__EmailBounced__1=None))
    assert unpublished.startswith("EmailBounced.avsc is not published: copy it to history/EmailBounced/1.avsc")
    (changed, missing_id) = problems(with_texts(files, EmailBounced=json.dumps(with_field(RECORD, NULLABLE))))
    assert changed.startswith("EmailBounced.avsc is not published: copy it to history/EmailBounced/2.avsc")
    assert missing_id == "ids.json has 0 ids for history/EmailBounced/1.avsc, it should have one"


def test_a_schema_that_was_taken_away_is_a_problem() -> None:
    """Its records are still in Kafka."""
    files = files_of(RECORD, schema(RECORD))
    found = problems(with_texts(files, EmailBounced=None))
    assert any("records that were written with it cannot be read" in problem for problem in found)
    assert "ids.json: id 1: there is no file EmailBounced.avsc" in found


def test_a_schema_without_id_is_a_problem() -> None:
    """Nobody could write it; of an older version nobody could read it."""
    files = files_of(RECORD, schema(RECORD))
    assert problems(with_lock(files, {})) == ["ids.json has 0 ids for EmailBounced.avsc, it should have one"]


def test_an_id_for_the_wrong_subject_is_a_problem() -> None:
    """The subject is made of topic and record."""
    files = files_of(RECORD, schema(RECORD))
    subject = "mailgun.events.raw-mailriver.v1.EmailBounced"
    (problem,) = problems(with_lock(files, {"1": {"subject": subject, "file": "EmailBounced.avsc"}}))
    assert problem.startswith("ids.json: id 1: the subject of EmailBounced.avsc is email.events-")


def test_a_new_version_must_not_take_a_lower_id_than_an_old_one() -> None:
    """The highest id of a subject is what is written."""
    files = files_of(RECORD, with_field(RECORD, NULLABLE), schema(RECORD))
    lock = json.loads(files.lock)
    (problem,) = problems(with_lock(files, {"1": lock["2"], "2": lock["1"]}))
    assert problem.endswith("a new version takes a new, higher id")


def test_a_lock_file_that_cannot_be_read_is_a_problem() -> None:
    """One sentence, and no crash."""
    files = files_of(RECORD, schema(RECORD))
    (problem,) = problems(SchemaFiles("{", files.texts))
    assert problem.startswith("ids.json")


def test_what_is_no_schema_is_a_problem() -> None:
    """Broken JSON, and a record of another name than its file's."""
    files = files_of(RECORD, schema(RECORD))
    assert any("EmailBounced.avsc is no Avro schema" in each for each in problems(with_texts(files, EmailBounced="{")))
    renamed = json.dumps(schema(RECORD) | {"name": "Bounced"})
    (problem,) = problems(with_texts(files, EmailBounced=renamed, history__EmailBounced__1=renamed))
    assert problem == "EmailBounced.avsc holds mailriver.v1.Bounced, not mailriver.v1.EmailBounced"


class Registrations:
    """A registry that takes everything."""

    def register_all(self) -> dict[str, int]:
        return {"a": 1, "b": 2}


def test_registering_tells_each_id() -> None:
    """A line a subject."""
    assert register(Registrations()) == ["a: 1", "b: 2"]
