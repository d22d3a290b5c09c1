"""Arrays in Postgres' binary form are those that psycopg itself would make, only faster."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from psycopg.adapt import PyFormat, Transformer

from services.storage.adapters.arrays import instant_array, instants, texts
from services.storage.adapters.errors import DataRefused
from tests.support.storage import NOON


def by_psycopg(value: list[str] | list[datetime]) -> bytes:
    transformer = Transformer()
    dumped = transformer.get_dumper(value, PyFormat.BINARY).dump(value)
    return bytes(dumped or b"")


@pytest.mark.parametrize("values", [["a"], ["", "é", "x" * 255, "y" * 256, "\U0001f600"]])
def test_texts(values: list[str]) -> None:
    assert texts(values) == by_psycopg(values)


@pytest.mark.parametrize("values", [[NOON], [0, 1_000, NOON, 946_684_800_000_000, 4_102_444_800_123_000]])
def test_instants(values: list[int]) -> None:
    moments = [
        datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000) for value in values
    ]
    assert instant_array(instants(values)[:-1]) == by_psycopg(moments)


def test_the_last_instant_is_infinity() -> None:
    assert instants([NOON])[-1] == 2**63 - 1


@pytest.mark.parametrize("value", [-(2**63), 2**64, -211_813_488_000_000_000 + 946_684_800_000_000 - 1])
def test_an_instant_that_postgres_has_not_is_refused(value: int) -> None:
    with pytest.raises(DataRefused, match="294276"):
        instants([NOON, value])


def test_empty_arrays_have_no_dimension() -> None:
    assert texts([])[:8] == instant_array([])[:8] == bytes(8)
