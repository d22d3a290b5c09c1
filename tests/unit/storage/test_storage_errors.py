"""Each error of the database has an answer."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from services.runtime.errors import Fatal, Transient
from services.storage.adapters.errors import DataRefused, Deadlock, translated

SQLSTATES = sorted(
    kind.sqlstate
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, psycopg.Error) and isinstance(kind.sqlstate, str)
)


@pytest.mark.parametrize(
    "code",
    [
        "40001",
        "40P01",
        "40003",
        "53100",
        "53200",
        "53300",
        "55P03",
        "57014",
        "57P01",
        "57P02",
        "57P03",
        "25006",
        "08006",
    ],
)
def test_what_passes_is_transient(code: str) -> None:
    assert isinstance(translated(errors.lookup(code)("busy")), Transient)


@pytest.mark.parametrize("code", ["22001", "22021", "22008", "23502", "23503", "23505", "23514", "P0001", "54000"])
def test_what_a_row_is_to_blame_for_is_refused_data(code: str) -> None:
    assert isinstance(translated(errors.lookup(code)("bad row")), DataRefused)


@pytest.mark.parametrize("code", ["42P01", "42703", "42501", "28P01", "3D000", "0A000", "XX000"])
def test_what_needs_a_person_is_fatal_and_says_what_to_look_at(code: str) -> None:
    raised = translated(errors.lookup(code)("no such thing"))
    assert isinstance(raised, Fatal)
    assert "migrated" in str(raised)


def test_only_a_deadlock_is_tried_again_at_once() -> None:
    assert [code for code in SQLSTATES if isinstance(translated(errors.lookup(code)("x")), Deadlock)] == ["40P01"]


@pytest.mark.parametrize("code", SQLSTATES)
def test_every_sqlstate_that_the_driver_knows_is_translated_to_one_line(code: str) -> None:
    raised = translated(errors.lookup(code)("two\nlines"))
    assert isinstance(raised, Transient | DataRefused | Fatal)
    assert f"{code}: two lines" in str(raised)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.OperationalError("connection refused"), Transient),
        (psycopg.InterfaceError("the connection is closed"), Transient),
        (psycopg.DataError("text contains NUL"), DataRefused),
        (psycopg.ProgrammingError("wrong parameters"), Fatal),
    ],
)
def test_errors_of_the_driver_itself_are_translated(error: psycopg.Error, kind: type[Exception]) -> None:
    assert isinstance(translated(error), kind)
