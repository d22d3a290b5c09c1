"""The statements of ``services/storage/sql``, one a file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of ``sql/<name>.sql``."""
    return (files("services.storage") / "sql" / f"{name}.sql").read_bytes()
