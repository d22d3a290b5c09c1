"""What an error of the database means to storage."""

from __future__ import annotations

import psycopg

from services.runtime.database_errors import Cause, cause_of
from services.runtime.errors import Fatal, MailriverError, Transient
from services.runtime.postgres import one_line


class DataRefused(MailriverError):
    """The database refuses what a row holds: no waiting will help, the row is poisoned."""


class Deadlock(Transient):
    """Another transaction was let go first: the same batch can be tried again at once."""


def translated(error: psycopg.Error) -> MailriverError:
    """The error that says what to do: ``Transient``, ``DataRefused`` or ``Fatal``. Never holds more than a line.

    The server's detail is left out, since it shows the row, and with it addresses.
    """
    message = one_line(error)
    match cause_of(error):
        case Cause.DEADLOCK:
            return Deadlock(message)
        case Cause.PASSING:
            return Transient(message)
        case Cause.DATA:
            return DataRefused(message)
        case Cause.MISUSE:
            return Fatal(f"Storage uses its database driver wrongly: {message}")
        case Cause.STATE | Cause.NOT_MIGRATED | Cause.REFUSED:
            advice = "Is it migrated, and has the role its rights?"
            return Fatal(f"The database refuses to work for storage ({message}). {advice}")
