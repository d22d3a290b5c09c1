"""What an error of the database means to storage: the one place that knows SQLSTATEs."""

from __future__ import annotations

import psycopg

from services.runtime.errors import Fatal, MailriverError, Transient
from services.runtime.postgres import one_line


class DataRefused(MailriverError):
    """The database refuses what a row holds: no waiting will help, the row is poisoned."""


class Deadlock(Transient):
    """Another transaction was let go first: the same batch can be tried again at once."""


_DEADLOCK = "40P01"

# Codes whose class would say otherwise.
_TRANSIENT_CODES = frozenset({
    "25006",  # read-only: a standby, or a primary about to change places
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
    "55006",  # object in use
    "55P03",  # lock_timeout
})  # fmt: skip

_TRANSIENT_CLASSES = frozenset({
    "08",  # connection
    "40",  # rolled back: serialization, unknown completion
    "53",  # disk full, out of memory, too many connections
    "57",  # statement_timeout, shut down, starting up
    "58",  # input or output error of the server's system
})  # fmt: skip

_DATA_CLASSES = frozenset({
    "21",  # cardinality: a row affected twice
    "22",  # data exception
    "23",  # constraint
    "27",  # triggered data change
    "44",  # WITH CHECK OPTION
    "54",  # a limit of the server, such as the size of an index entry
    "P0",  # raised by a trigger
})  # fmt: skip


def translated(error: psycopg.Error) -> MailriverError:
    """The error that says what to do: ``Transient``, ``DataRefused`` or ``Fatal``. Never holds more than a line.

    The server's detail is left out, since it shows the row, and with it addresses.
    """
    message = one_line(error)
    code = error.sqlstate
    if code is None:
        return _of_client(error, message)
    if code == _DEADLOCK:
        return Deadlock(message)
    if code in _TRANSIENT_CODES or code[:2] in _TRANSIENT_CLASSES:
        return Transient(message)
    if code[:2] in _DATA_CLASSES:
        return DataRefused(message)
    return Fatal(f"The database refuses to work for storage ({message}). Is it migrated, and has the role its rights?")


def _of_client(error: psycopg.Error, message: str) -> MailriverError:
    """What psycopg raises by itself: a server that cannot be reached, a lost connection, a value without a form."""
    if isinstance(error, psycopg.DataError):
        return DataRefused(message)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Transient(message)
    return Fatal(f"Storage uses its database driver wrongly: {message}")
