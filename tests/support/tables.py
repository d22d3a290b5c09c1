"""Tables of Markdown files, for tests that hold documents to the code."""

from __future__ import annotations

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
