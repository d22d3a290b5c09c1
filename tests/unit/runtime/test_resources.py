"""Reading schemas/."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.contracts import topics
from services.runtime import resources
from services.runtime.errors import Fatal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of schemas/ to be spoilt."""
    return Path(shutil.copytree(resources.schemas_folder(), tmp_path / "schemas"))


def test_every_topic_is_read_in_the_order_of_the_design() -> None:
    """None more, none less."""
    assert tuple(spec.name for spec in resources.topic_specs()) == topics.ALL


def test_a_topic_that_is_not_declared_is_refused(folder: Path) -> None:
    """Names in code and declarations cannot drift apart."""
    (folder / "topics" / "email.events.yaml").unlink()
    with pytest.raises(Fatal, match=r"not declared.*email\.events"):
        resources.topic_specs(folder)


def test_a_topic_that_nobody_knows_is_refused(folder: Path) -> None:
    """The same from the other side."""
    text = (folder / "topics" / "email.events.yaml").read_text()
    (folder / "topics" / "other.yaml").write_text(text.replace("name: email.events", "name: other"))
    with pytest.raises(Fatal, match="other"):
        resources.topic_specs(folder)


@pytest.mark.parametrize("text", ["- a list", "{", "name: 5", ""])
def test_a_declaration_that_is_none_is_refused(folder: Path, text: str) -> None:
    """With a clear message, whatever is in the file."""
    (folder / "topics" / "email.events.yaml").write_text(text)
    with pytest.raises(Fatal, match="schemas/topics"):
        resources.topic_specs(folder)


def test_a_file_named_otherwise_than_its_topic_is_refused(folder: Path) -> None:
    """Who looks for a topic's file finds it."""
    file = folder / "topics" / "email.events.yaml"
    file.rename(file.with_name("events.yaml"))
    with pytest.raises(Fatal, match=r"events\.yaml declares another topic"):
        resources.topic_specs(folder)


def test_history_is_read_with_the_schemas() -> None:
    """Old records are resolved with it."""
    texts = resources.schema_files().texts
    assert texts["history/EmailOpened/1.avsc"]
    assert texts["EmailOpened.avsc"]


def test_a_lock_file_that_names_no_file_is_fatal(folder: Path) -> None:
    """A broken installation ends the process with a sentence."""
    (folder / "EmailOpened.avsc").unlink()
    with pytest.raises(Fatal, match=r"EmailOpened\.avsc"):
        resources.file_registry(folder)


def test_each_subject_has_the_text_of_its_current_schema() -> None:
    """That is what is registered."""
    schemas = resources.subject_schemas()
    assert len(schemas) == len(topics.RECORD_TOPICS)
    assert '"EmailOpened"' in schemas["email.events-mailriver.v1.EmailOpened"]
