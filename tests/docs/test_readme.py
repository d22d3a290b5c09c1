"""README.md: short, its links lead somewhere, its commands are commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from services.cli import cli
from tests.support.tables import ROOT, rows_of, shell_commands, text_of

DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))


def arguments(*documents: str) -> Iterator[list[str]]:
    """Of each command of Mailriver's own in these documents."""
    for program, *rest in (words for document in documents for words in shell_commands(document)):
        if program.removeprefix(".venv/bin/") == "mailriver":
            yield rest


def parse(words: list[str]) -> None:
    """Resolve a command with its options as the command line does, and do not run it."""
    command: click.Command = cli
    name = "mailriver"
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    with command.make_context(name, words):
        return


def test_it_is_short() -> None:
    """Below 150 lines."""
    assert len(text_of("README.md").splitlines()) < 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_to_files(document: str) -> None:
    """In the README and in every other document."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(document))
    relative = [target for target in targets if "://" not in target]
    missing = [target for target in relative if not (ROOT / document).parent.joinpath(target).exists()]
    assert missing == []


def test_each_command_is_of_make_or_of_mailriver() -> None:
    """So that the tests below see all of them."""
    programs = {program.removeprefix(".venv/bin/") for program, *_ in shell_commands("README.md")}
    assert programs == {"make", "mailriver"}


@pytest.mark.parametrize("words", [words for words in arguments(*DOCUMENTS) if words != ["--help"]], ids=" ".join)
def test_a_command_of_mailriver_can_be_parsed(words: list[str]) -> None:
    """It exists, with these options."""
    parse(words)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    """The test above can fail."""
    with pytest.raises(KeyError):
        parse(["topics", "destroy"])
    with pytest.raises(click.NoSuchOption):
        parse(["demo", "--receivers", "5"])


def test_each_target_of_make_exists() -> None:
    """In blocks and in the text."""
    named = {target for program, *targets in shell_commands("README.md") if program == "make" for target in targets}
    named |= set(re.findall(r"`make ([a-z]+)`", text_of("README.md")))
    assert named >= {"demo", "test", "check"}
    assert named <= set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))


@pytest.mark.parametrize(("words", "says"), [(["--help"], "Usage: mailriver"), (["config"], "FETCH_PAGE_SIZE=300")])
def test_what_changes_nothing_is_really_run(words: list[str], says: str) -> None:
    """On a machine without any setting."""
    assert words in list(arguments("README.md"))
    result = CliRunner().invoke(cli, words, prog_name="mailriver")
    assert result.exit_code == 0
    assert says in result.output


def test_each_folder_in_the_table_exists() -> None:
    """Where things are."""
    folders = [
        name for cell, _ in rows_of(text_of("README.md"), "folder", "what") for name in re.findall("`(.+?)`", cell)
    ]
    places = [(ROOT / folder, ROOT / "services" / folder) for folder in folders]
    assert len(folders) >= 8
    assert [options for options in places if not any(each.is_dir() for each in options)] == []
