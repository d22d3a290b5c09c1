"""Tables of Markdown files, for tests that hold documents to the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows_of(markdown: str, *headings: str) -> list[list[str]]:
    """The cells of all tables whose heading line has exactly these cells."""
    rows: list[list[str]] = []
    inside = False
    for line in markdown.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells == list(headings):
            inside = True
        elif inside and not set(line) <= set("|- "):
            rows.append(cells)
    return rows


def text_of(path: str) -> str:
    """A file of the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def shell_commands(path: str) -> list[list[str]]:
    """The words of each line in a file's blocks of shell commands."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL)
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]
