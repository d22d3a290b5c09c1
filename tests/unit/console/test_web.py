"""The page's own files: the libraries are what they are said to be, and nothing comes from elsewhere."""

from __future__ import annotations

import hashlib
import re

import pytest

from services.console import web

VENDOR = web.STATIC / "vendor"
VERSIONS = [line.split() for line in (VENDOR / "VERSIONS.txt").read_text().splitlines() if ".mjs " in line]
MODULES = [path for path in web.STATIC.rglob("*.js") if VENDOR not in path.parents]


@pytest.mark.parametrize(("file", "package", "sha256"), [(each[0], each[1], each[4]) for each in VERSIONS])
def test_a_library_is_unchanged(file: str, package: str, sha256: str) -> None:
    """Its hash is the recorded one, and its licence lies beside it."""
    assert hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() == sha256
    assert (VENDOR / f"LICENSE.{package}.txt").exists()


def test_every_library_is_recorded() -> None:
    """No file without a line."""
    assert sorted(path.name for path in VENDOR.glob("*js")) == sorted(each[0] for each in VERSIONS)


@pytest.mark.parametrize("text", [web.page(), web.login("wrong"), *(path.read_text() for path in MODULES)])
def test_nothing_is_inline_or_foreign(text: str) -> None:
    """No address of another host, no script or style in a page, no HTML made from text, no eval."""
    assert re.findall(r"https?://", text) == []
    assert re.findall(r"<script>|<style|\sstyle=\"|\son\w+=\"|innerHTML|outerHTML|insertAdjacent|eval\(", text) == []


def test_what_is_wrong_with_a_login_is_text() -> None:
    """Markup in it is escaped."""
    assert "&lt;b&gt;" in web.login("<b>")
    assert 'role="alert"></p>' in web.login()


def test_the_page_knows_the_closed_lists() -> None:
    """Reasons and types of events come from the contracts, not from a copy."""
    assert "not_avro unknown_schema" in web.page()
    assert 'data-event-types="accepted rejected delivered' in web.page()
