"""Where errors of the database come from."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from services.runtime.database_errors import Cause, cause_of


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("08006", Cause.PASSING),
        ("25006", Cause.PASSING),
        ("55P03", Cause.PASSING),
        ("57P03", Cause.PASSING),
        ("40001", Cause.PASSING),
        ("40P01", Cause.DEADLOCK),
        ("25P02", Cause.STATE),
        ("55000", Cause.STATE),
        ("22021", Cause.DATA),
        ("P0001", Cause.DATA),
        ("42P01", Cause.NOT_MIGRATED),
        ("3F000", Cause.NOT_MIGRATED),
        ("42501", Cause.REFUSED),
        ("XX000", Cause.REFUSED),
    ],
)
def test_the_code_tells_and_where_needed_more_than_its_class(code: str, cause: Cause) -> None:
    assert cause_of(errors.lookup(code)("said")) is cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (psycopg.OperationalError("connection refused"), Cause.PASSING),
        (psycopg.InterfaceError("the connection is closed"), Cause.PASSING),
        (psycopg.DataError("text contains NUL"), Cause.DATA),
        (psycopg.ProgrammingError("wrong parameters"), Cause.MISUSE),
    ],
)
def test_without_a_code_the_kind_of_error_tells(error: psycopg.Error, cause: Cause) -> None:
    assert cause_of(error) is cause
