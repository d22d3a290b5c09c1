"""How the processor's connection is set up, so that nothing it does can wait for ever."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

_CONNECT_SECONDS = 10
_STATEMENT_SECONDS = 60
_NETWORK_SECONDS = 30
"""How long sent data may stay without an answer of the other machine before the connection counts as lost."""

# Thousands of probes look dear enough to the planner to compile the statement first, which takes longer than to run it.
_OPTIONS = f"-c jit=off -c statement_timeout={_STATEMENT_SECONDS}s"


def connect(dsn: str, application_name: str) -> psycopg.Connection:
    """Open a connection in autocommit mode; what ``dsn`` says itself is left as it says. Raises psycopg's errors."""
    return psycopg.connect(**_parameters(dsn, application_name), autocommit=True)


def _parameters(dsn: str, application_name: str) -> dict[str, Any]:
    given = conninfo_to_dict(dsn)
    return {
        "application_name": application_name,
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives": 1,
        "keepalives_idle": _NETWORK_SECONDS,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": _NETWORK_SECONDS * 1000,
        **given,
        "options": f"{_OPTIONS} {given.get('options') or ''}".strip(),
    }
