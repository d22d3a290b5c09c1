"""What an error of the database comes from: the one place that knows SQLSTATEs. What it means, each service decides."""

from __future__ import annotations

from enum import Enum, auto

import psycopg


class Cause(Enum):
    """Where an error comes from, as far as that decides what to do about it."""

    PASSING = auto()
    """Away, busy or changing places: asking again later may help."""
    DEADLOCK = auto()
    """Another transaction was let go first: the same can be tried again at once."""
    STATE = auto()
    """The transaction or an object is not in the state that the statement needs."""
    DATA = auto()
    """The values are refused: no waiting will help."""
    NOT_MIGRATED = auto()
    """Mailriver's tables are not there."""
    REFUSED = auto()
    """A person has to look: rights, a wrong database, a wrong statement."""
    MISUSE = auto()
    """The driver was used wrongly."""


# Codes whose class would say otherwise.
_CODES = {
    "25006": Cause.PASSING,  # read-only: a standby, or a primary about to change places
    "25P03": Cause.PASSING,  # idle_in_transaction_session_timeout
    "25P04": Cause.PASSING,  # transaction_timeout
    "3F000": Cause.NOT_MIGRATED,  # no such schema
    "40P01": Cause.DEADLOCK,
    "42P01": Cause.NOT_MIGRATED,  # no such table
    "55006": Cause.PASSING,  # object in use
    "55P03": Cause.PASSING,  # lock_timeout
}

_CLASSES = {
    "08": Cause.PASSING,  # connection
    "21": Cause.DATA,  # cardinality: a row affected twice
    "22": Cause.DATA,  # data exception
    "23": Cause.DATA,  # constraint
    "25": Cause.STATE,  # transaction
    "27": Cause.DATA,  # triggered data change
    "40": Cause.PASSING,  # rolled back: serialization, unknown completion
    "44": Cause.DATA,  # WITH CHECK OPTION
    "53": Cause.PASSING,  # disk full, out of memory, too many connections
    "54": Cause.DATA,  # a limit of the server, such as the size of an index entry
    "55": Cause.STATE,  # object
    "57": Cause.PASSING,  # statement_timeout, shut down, starting up
    "58": Cause.PASSING,  # input or output error of the server's system
    "P0": Cause.DATA,  # raised by a trigger
}


def cause_of(error: psycopg.Error) -> Cause:
    """By the server's SQLSTATE or, for what psycopg raises by itself, by the kind of error."""
    code = error.sqlstate
    if code is not None:
        return _CODES.get(code) or _CLASSES.get(code[:2], Cause.REFUSED)
    if isinstance(error, psycopg.DataError):
        return Cause.DATA
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Cause.PASSING
    return Cause.MISUSE
