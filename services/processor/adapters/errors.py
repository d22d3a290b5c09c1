"""What an error of the database means to the processor."""

from __future__ import annotations

import psycopg

from services.runtime.errors import Fatal, Transient
from services.runtime.postgres import one_line

# Connection, read-only standby, rolled back, out of resources, in use, operator or time-out, the server's system.
_TRANSIENT_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
_NOT_MIGRATED = frozenset({"42P01", "3F000"})


def translated(error: psycopg.Error) -> Transient | Fatal:
    """``Transient`` if asking again later may help, else ``Fatal``.

    One line that never holds a key: of the server's words only the primary message is used, which names no row.
    """
    message = one_line(error)
    if error.sqlstate is None:
        away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return Transient(message) if away else Fatal(f"The processor uses its database driver wrongly: {message}")
    if error.sqlstate in _NOT_MIGRATED:
        return Transient(f"the database has no such tables yet ({message}); run `mailriver migrate`")
    if error.sqlstate[:2] in _TRANSIENT_CLASSES:
        return Transient(message)
    return Fatal(
        f"The database refuses to answer the processor ({message}). Is it migrated, and may the role read "
        "email_recipients and email_batches?"
    )
