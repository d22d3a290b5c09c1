"""The lock file as a registry."""

from __future__ import annotations

import json

import pytest

from services.contracts.registry import FileRegistry, SchemaFiles, UnknownSchema, parse_lock
from tests.support.schemas import files_of, schema, without_field

SUBJECT = "email.events-mailriver.v1.EmailBounced"


def test_the_newest_id_of_a_subject_is_written_and_every_id_can_be_read() -> None:
    """After a change of a schema old records keep their id and their schema."""
    current, older = schema("EmailBounced"), without_field("EmailBounced", "reason")
    registry = FileRegistry(files_of("EmailBounced", current, older))
    assert registry.id_for(SUBJECT) == 2
    assert registry.schema_of(1) == older
    assert registry.schema_of(2) == current


def test_what_is_not_in_the_lock_file_is_unknown() -> None:
    """Neither an id nor a subject is made up."""
    registry = FileRegistry(files_of("EmailBounced", schema("EmailBounced")))
    with pytest.raises(UnknownSchema, match="id 7"):
        registry.schema_of(7)
    with pytest.raises(UnknownSchema, match="other"):
        registry.id_for("other")


def test_a_file_that_is_named_and_not_there_is_refused() -> None:
    """At the start, and not when the first record comes."""
    lock = json.dumps({"1": {"subject": SUBJECT, "file": "EmailBounced.avsc"}})
    with pytest.raises(ValueError, match=r"no file EmailBounced\.avsc"):
        FileRegistry(SchemaFiles(lock, {}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"one": {"subject": "s", "file": "f"}}',
        '{"0": {"subject": "s", "file": "f"}}',
        '{"2147483648": {"subject": "s", "file": "f"}}',
        '{"1": {"subject": "s"}}',
        '{"1": {"subject": "s", "file": "f", "fiel": "f"}}',
    ],
)
def test_a_wrong_lock_file_is_refused(text: str) -> None:
    """Ids are positive integers of 31 bits, entries have a subject and a file and nothing else."""
    with pytest.raises(ValueError, match=r"ids\.json"):
        parse_lock(text)
