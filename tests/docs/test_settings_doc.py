"""docs/settings.md has every setting as the code has it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from pydantic.fields import FieldInfo

from services.console.settings import ConsoleSettings
from services.fetcher.settings import FetcherSettings
from services.processor.settings import ProcessorSettings
from services.runtime.settings import GROUPS, Settings, is_secret
from services.storage.settings import StorageSettings
from tests.support.tables import ROOT, rows_of, text_of

SERVICES: dict[str, type[Settings]] = {
    "F": FetcherSettings,
    "P": ProcessorSettings,
    "S": StorageSettings,
    "C": ConsoleSettings,
}
USERS = ("fetcher", "processor", "storage", "console", "runtime/bus", "cli", "runtime/assembly.py")


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Each setting by its name in the environment."""
    for name, field in chain.from_iterable(group.model_fields.items() for group in GROUPS):
        yield name.upper(), field


def default_of(field: FieldInfo) -> str:
    """As the table writes it."""
    if field.is_required():
        return "required"
    default: Any = field.default
    if default is None or default == "":
        return "none"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def services_of(name: str) -> str:
    """The initials of the services that read a setting, as the table writes them."""
    letters = [letter for letter, settings in SERVICES.items() if name.lower() in settings.model_fields]
    return ", ".join(letters) or "none"


def documented() -> list[list[str]]:
    return rows_of(text_of("docs/settings.md"), "setting", "default", "services", "what")


def is_used(name: str) -> bool:
    """Whether code that does something with settings names this one."""
    places = [ROOT / "services" / user for user in USERS]
    files = chain.from_iterable([place] if place.is_file() else sorted(place.rglob("*.py")) for place in places)
    needle = f".{name.lower()}"
    lifecycle = text_of("services/runtime/lifecycle.py")
    return needle in lifecycle or any(needle in file.read_text(encoding="utf-8") for file in files)


def test_every_setting_has_one_row_with_its_default_and_its_services() -> None:
    """And no row is about a setting that does not exist."""
    expected = sorted((f"`{name}`", default_of(field), services_of(name)) for name, field in fields())
    assert sorted((name, default, services) for name, default, services, _ in documented()) == expected


def test_secrets_are_called_so() -> None:
    """Whoever reads the row of a secret knows that it can be a file."""
    called = {name.strip("`") for name, _, _, what in documented() if what.startswith("secret;")}
    assert called == {name for name, field in fields() if is_secret(field)}


def test_a_setting_that_nothing_uses_says_so() -> None:
    """A row that begins with "none:", or is of no service, is of a setting that no code reads; all others are read."""
    idle = {name.strip("`") for name, _, who, what in documented() if what.startswith("none:") or who == "none"}
    assert idle == {name for name, _ in fields() if not is_used(name)}


def test_each_row_says_what_the_setting_does() -> None:
    """A name alone is no documentation."""
    assert [name for name, _, _, what in documented() if len(what) < 15] == []
