"""How storage's connection is set up."""

from __future__ import annotations

import msgspec
import psycopg

from services.runtime import postgres
from services.storage.adapters.arrays import register
from services.storage.adapters.errors import translated


class SessionLimits(msgspec.Struct, frozen=True):
    """What a session waits for at most, in whole seconds."""

    connect_seconds: int = 10
    lock_seconds: int = 30
    statement_seconds: int = 120
    """Also what a statement of 10 000 events may take on a slow disk."""
    network_seconds: int = 30


def connect(dsn: str, application_name: str, limits: SessionLimits) -> psycopg.Connection:
    """Open a connection in autocommit mode; what ``dsn`` says itself is left as it says.

    Raises ``Transient`` if the server cannot be reached within the limits, ``Fatal`` if it refuses the role.
    """
    try:
        connection = postgres.connect(
            dsn,
            application_name,
            options=(
                f"-c lock_timeout={limits.lock_seconds}s -c statement_timeout={limits.statement_seconds}s "
                # Should this process vanish inside a transaction, its locks go with it.
                f"-c idle_in_transaction_session_timeout={limits.statement_seconds}s"
            ),
            connect_seconds=limits.connect_seconds,
            network_seconds=limits.network_seconds,
            target_session_attrs="read-write",
        )
    except psycopg.Error as error:
        raise translated(error) from error
    register(connection)
    return connection
