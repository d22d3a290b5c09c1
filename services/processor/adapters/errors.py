"""What an error of the database means to the processor, which only reads."""

from __future__ import annotations

import psycopg

from services.runtime.database_errors import Cause, cause_of
from services.runtime.errors import Fatal, Transient
from services.runtime.postgres import one_line


def translated(error: psycopg.Error) -> Transient | Fatal:
    """``Transient`` if asking again later may help, else ``Fatal``.

    One line that never holds a key: of the server's words only the primary message is used, which names no row.
    """
    message = one_line(error)
    match cause_of(error):
        case Cause.PASSING | Cause.DEADLOCK | Cause.STATE:
            return Transient(message)
        case Cause.NOT_MIGRATED:
            return Transient(f"the database has no such tables yet ({message}); run `mailriver migrate`")
        case Cause.DATA | Cause.REFUSED | Cause.MISUSE:
            return Fatal(_refusal(error, message))


def _refusal(error: psycopg.Error, message: str) -> str:
    if error.sqlstate is None:
        return f"The processor uses its database driver wrongly: {message}"
    return (
        f"The database refuses to answer the processor ({message}). Is it migrated, and may the role read "
        "email_recipients and email_batches?"
    )
