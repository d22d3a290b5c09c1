"""How every service connects to Postgres, so that nothing it does there can wait for ever."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

CONNECT_SECONDS = 10
NETWORK_SECONDS = 30
"""How long sent data may stay without an answer of the other machine before the connection counts as lost."""


def connect(
    dsn: str,
    application_name: str,
    *,
    options: str,
    connect_seconds: int = CONNECT_SECONDS,
    network_seconds: int = NETWORK_SECONDS,
    **parameters: Any,
) -> psycopg.Connection:
    """Open a connection in autocommit mode; what ``dsn`` says itself is left as it says. Blocks.

    See :func:`connection_parameters`, which takes the same.

    Raises:
        psycopg.Error: to be translated by the service, which knows what it means.

    """
    ours = connection_parameters(
        dsn,
        application_name,
        options=options,
        connect_seconds=connect_seconds,
        network_seconds=network_seconds,
        **parameters,
    )
    return psycopg.connect(**ours, autocommit=True)


def connection_parameters(
    dsn: str,
    application_name: str,
    *,
    options: str,
    connect_seconds: int = CONNECT_SECONDS,
    network_seconds: int = NETWORK_SECONDS,
    **parameters: Any,
) -> dict[str, Any]:
    """What :func:`connect` gives to libpq, for those who leave connecting to a pool.

    ``options``: settings of the session, as ``-c name=value``. ``parameters``: more of libpq's.
    """
    given = conninfo_to_dict(dsn)
    return {
        "application_name": application_name,
        "connect_timeout": connect_seconds,
        "keepalives": 1,
        "keepalives_idle": network_seconds,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": network_seconds * 1000,
        **parameters,
        **given,
        "options": f"{options} {given.get('options') or ''}".strip(),
    }


def one_line(error: psycopg.Error) -> str:
    """What an error says, in a line that shows no row: of the server's words only the primary message is used."""
    if error.sqlstate is not None:
        said = error.diag.message_primary or str(error) or type(error).__name__
        return f"{error.sqlstate}: {' '.join(said.split())}"
    if isinstance(error, psycopg.DataError):
        return type(error).__name__  # its text may show the value
    return " ".join(str(error).split()) or type(error).__name__
