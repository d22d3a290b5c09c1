"""Files of the code that documents name exist."""

from __future__ import annotations

import re

import pytest

from tests.support.tables import ROOT, text_of

DOCUMENTS = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
FILES = [
    f"/{path.relative_to(ROOT)}"
    for folder in ("services", "tests", "schemas")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".sql", ".json", ".yaml", ".avsc")
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_file_that_is_named_is_there(document: str) -> None:
    """Whole paths and the ends of paths."""
    named = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|sql|json|yaml|avsc))`", text_of(document))
    missing = [name for name in named if not any(file.endswith(f"/{name}") for file in FILES)]
    assert missing == []
