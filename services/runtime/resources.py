"""Finds and reads ``schemas/``: in the checkout, or, where Mailriver is installed, inside the package."""

from __future__ import annotations

from pathlib import Path

import yaml

from services.contracts.registry import FileRegistry, SchemaFiles
from services.contracts.topics import ALL, RECORD_TOPICS, TopicSpec, parse_spec, subject
from services.runtime.errors import Fatal

_PACKAGE = Path(__file__).resolve().parent.parent


def schemas_folder() -> Path:
    """The folder ``schemas/``.

    Raises:
        Fatal: there is none, so the installation is broken.

    """
    candidates = (_PACKAGE / "_schemas", _PACKAGE.parent / "schemas")
    for folder in candidates:
        if (folder / "ids.json").is_file():
            return folder
    raise Fatal(f"no schemas in {candidates[0]} or {candidates[1]}: install Mailriver again")


def schema_files(folder: Path | None = None) -> SchemaFiles:
    """The lock file and every ``.avsc``, history included. ``folder``: instead of Mailriver's own."""
    root = folder or schemas_folder()
    paths = (*root.glob("*.avsc"), *root.glob("history/*/*.avsc"))
    return SchemaFiles(
        (root / "ids.json").read_text("utf-8"),
        {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in sorted(paths)},
    )


def subject_schemas(folder: Path | None = None) -> dict[str, str]:
    """The text of the current schema of each subject."""
    texts = schema_files(folder).texts
    return {subject(topic, record): texts[f"{record}.avsc"] for record, topic in RECORD_TOPICS.items()}


def file_registry(folder: Path | None = None) -> FileRegistry:
    """The registry that is the lock file.

    Raises:
        Fatal: lock file and schemas do not fit together.

    """
    try:
        return FileRegistry(schema_files(folder))
    except ValueError as error:
        raise Fatal(f"schemas: {error}") from error


def topic_specs(folder: Path | None = None) -> tuple[TopicSpec, ...]:
    """Every declared topic, in the order of the design.

    Raises:
        Fatal: a declaration is wrong, missing, or of a topic that Mailriver does not know.

    """
    files = sorted((folder or schemas_folder()).glob("topics/*.yaml"))
    try:
        specs = {file.stem: parse_spec(yaml.safe_load(file.read_text("utf-8"))) for file in files}
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        raise Fatal(f"schemas/topics: {error}") from error
    if misnamed := [stem for stem, spec in specs.items() if spec.name != stem]:
        raise Fatal(f"schemas/topics/{misnamed[0]}.yaml declares another topic than its name says")
    if differing := set(specs) ^ set(ALL):
        names = ", ".join(sorted(differing))
        raise Fatal(f"schemas/topics: either not declared, or declared and unknown to Mailriver: {names}")
    return tuple(specs[name] for name in ALL)
