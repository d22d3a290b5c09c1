"""Postgres without storage: the least that any design must do with a batch of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import psycopg

from services.contracts.events import (
    EmailBounced,
    EmailClicked,
    EmailDelivered,
    EmailEvent,
    EmailOpened,
)

KINDS: dict[type[EmailEvent], int] = {EmailDelivered: 0, EmailOpened: 1, EmailClicked: 2, EmailBounced: 3}
"""The events that set a time of the recipient's row; the others are left out."""

Change = tuple[str, int, int]
"""Recipient id, kind, and microseconds since 1970."""

# As storage does, so that no trigger fires and the plan is the same.
_BEGIN = """
SELECT set_config('mailriver.writer', 'storage', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)
"""
_CREATE = 'CREATE UNLOGGED TABLE IF NOT EXISTS bare_events (id text COLLATE "C", kind integer, at bigint)'
_UPDATE = """
UPDATE mailriver.email_recipients AS r
   SET first_delivered_at = least(r.first_delivered_at, b.delivered), opened_at = least(r.opened_at, b.opened),
       clicked_at = least(r.clicked_at, b.clicked), failed_at = least(r.failed_at, b.failed)
  FROM (
    SELECT id, min(at) FILTER (WHERE kind = 0) AS delivered, min(at) FILTER (WHERE kind = 1) AS opened,
           min(at) FILTER (WHERE kind = 2) AS clicked, min(at) FILTER (WHERE kind = 3) AS failed
      FROM (SELECT id, kind, timestamptz 'epoch' + at * interval '1 microsecond' AS at FROM bare_events) AS e
     GROUP BY id
  ) AS b
 WHERE r.id = b.id
   AND (b.delivered < coalesce(r.first_delivered_at, 'infinity') OR b.opened < coalesce(r.opened_at, 'infinity')
     OR b.clicked < coalesce(r.clicked_at, 'infinity') OR b.failed < coalesce(r.failed_at, 'infinity'))
"""


class BareTable:
    """One connection that copies a batch into an unlogged table and updates the recipients by one statement."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute(_CREATE)

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply a batch in one transaction. Blocks."""
        lines = [f"{recipient}\t{kind}\t{at - at % 1000}\n" for recipient, kind, at in changes]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            cursor.execute("TRUNCATE bare_events")
            with cursor.copy("COPY bare_events FROM STDIN") as copy:
                copy.write("".join(lines))
            cursor.execute(_UPDATE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
