"""How storage's connection is set up, so that nothing it does can wait for ever."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from services.storage.adapters.arrays import register
from services.storage.adapters.errors import translated


class SessionLimits(msgspec.Struct, frozen=True):
    """What a session waits for at most, in whole seconds."""

    connect_seconds: int = 10
    lock_seconds: int = 30
    statement_seconds: int = 120
    """Also what a statement of 10 000 events may take on a slow disk."""
    network_seconds: int = 30
    """How long sent data may stay without an answer of the other machine before the connection counts as lost."""


def connect(dsn: str, application_name: str, limits: SessionLimits) -> psycopg.Connection:
    """Open a connection in autocommit mode; what ``dsn`` says itself is left as it says.

    Raises ``Transient`` if the server cannot be reached within the limits, ``Fatal`` if it refuses the role.
    """
    try:
        connection = psycopg.connect(**_parameters(dsn, application_name, limits), autocommit=True)
    except psycopg.Error as error:
        raise translated(error) from error
    register(connection)
    return connection


def _parameters(dsn: str, application_name: str, limits: SessionLimits) -> dict[str, Any]:
    given = conninfo_to_dict(dsn)
    ours = (
        f"-c lock_timeout={limits.lock_seconds}s -c statement_timeout={limits.statement_seconds}s "
        # Should this process vanish inside a transaction, its locks go with it.
        f"-c idle_in_transaction_session_timeout={limits.statement_seconds}s"
    )
    return {
        "application_name": application_name,
        "connect_timeout": limits.connect_seconds,
        "target_session_attrs": "read-write",
        "keepalives": 1,
        "keepalives_idle": limits.network_seconds,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": limits.network_seconds * 1000,
        **given,
        "options": f"{ours} {given.get('options') or ''}".strip(),
    }
