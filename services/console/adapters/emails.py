"""Emails, their failures and their batches, read from Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from services.console.core.emails import (
    BatchesPage,
    BatchView,
    EmailPlace,
    EmailsPage,
    EmailView,
    FailuresPage,
    FailureView,
    batches_page,
    emails_page,
    failures_page,
)
from services.console.core.requests import BadRequest
from services.runtime import postgres
from services.runtime.database_errors import Cause, cause_of
from services.runtime.errors import Transient

T = TypeVar("T")

SNAPSHOT_EMAILS = 50
"""How many emails the live stream shows."""
_OPTIONS = "-c default_transaction_read_only=on -c statement_timeout=5s -c jit=off"
_POOL_SECONDS = 3.0
_POOL_SIZE = 4
_NETWORK_SECONDS = 5

# In ORDER BY a bare submitted_at would be the text, for which there is no index.
_EMAIL: LiteralString = """
SELECT id, subject, newsletter_id, to_char(submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
         AS submitted_at,
       recipient_count AS recipients, delivered_count AS delivered, opened_count AS opened, clicked_count AS clicked,
       failed_count AS failed
FROM mailriver.emails e
"""
EMAIL: LiteralString = _EMAIL + "WHERE id = %(email)s"
NEWEST: LiteralString = _EMAIL + "ORDER BY e.submitted_at DESC, e.id DESC LIMIT %(limit)s"
OLDER: LiteralString = (
    _EMAIL
    + """WHERE (e.submitted_at, e.id) < (%(submitted_at)s::timestamptz, %(id)s)
ORDER BY e.submitted_at DESC, e.id DESC LIMIT %(limit)s"""
)

# Each severity is a stretch of one index, in the order of the recipients; of each no more than a page is read.
FAILURES: LiteralString = """
SELECT f.email_recipient_id AS recipient_id, f.member_id, r.member_email AS email, f.severity, f.code, f.enhanced_code,
       f.message, to_char(f.failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS failed_at, f.event_id
FROM unnest(%(severities)s::text[]) AS wanted (severity)
CROSS JOIN LATERAL (
  SELECT * FROM mailriver.email_recipient_failures
  WHERE email_id = %(email)s AND severity = wanted.severity AND email_recipient_id > %(after)s
  ORDER BY email_recipient_id LIMIT %(limit)s
) AS f
JOIN mailriver.email_recipients r ON r.id = f.email_recipient_id
ORDER BY f.email_recipient_id LIMIT %(limit)s
"""

BATCHES: LiteralString = """
SELECT b.id, b.provider_id, counted.*
FROM (
  SELECT id, provider_id FROM mailriver.email_batches WHERE email_id = %(email)s AND id > %(after)s
  ORDER BY id LIMIT %(limit)s
) AS b
CROSS JOIN LATERAL (
  SELECT count(*) AS recipients, count(delivered_at) AS delivered, count(opened_at) AS opened,
         count(clicked_at) AS clicked, count(failed_at) AS failed
  FROM mailriver.email_recipients WHERE email_id = %(email)s AND batch_id = b.id
) AS counted
ORDER BY b.id
"""
# Also those whose batch is not there (yet, or any more).
WITHOUT_BATCH: LiteralString = """
SELECT NULL AS id, NULL AS provider_id, count(*) AS recipients, count(delivered_at) AS delivered,
       count(opened_at) AS opened, count(clicked_at) AS clicked, count(failed_at) AS failed
FROM mailriver.email_recipients r
WHERE r.email_id = %(email)s
  AND NOT EXISTS (SELECT FROM mailriver.email_batches b WHERE b.id = r.batch_id AND b.email_id = %(email)s)
HAVING count(*) > 0
"""


class NoSuchEmail(Exception):
    """There is no email of that id."""


class EmailsSource:
    """Reads over a few connections, which are opened when they are needed. For several threads.

    Every method blocks for some seconds at most, and raises Transient while the database is away or too slow.
    """

    def __init__(self, dsn: str, *, application_name: str = "mailriver-console") -> None:
        parameters = postgres.connection_parameters(
            dsn,
            application_name,
            options=_OPTIONS,
            connect_seconds=round(_POOL_SECONDS),
            network_seconds=_NETWORK_SECONDS,
        )
        # Without a connection held open: one that cannot be opened is tried again at the next request.
        self._pool = ConnectionPool(
            kwargs={**parameters, "autocommit": True},
            min_size=0,
            max_size=_POOL_SIZE,
            timeout=_POOL_SECONDS,
            reconnect_timeout=_POOL_SECONDS,
            check=ConnectionPool.check_connection,
            name=application_name,
            open=False,
        )
        self._pool.open()

    def emails(self, after: EmailPlace | None, limit: int) -> EmailsPage:
        """Emails, newest first, from after that place on."""
        place = {} if after is None else {"submitted_at": after.submitted_at, "id": after.id}
        statement = NEWEST if after is None else OLDER
        return emails_page(self._rows(statement, EmailView, {**place, "limit": limit + 1}), limit)

    def email(self, email_id: str) -> EmailView:
        """One email; raises NoSuchEmail."""
        found = [] if "\0" in email_id else self._rows(EMAIL, EmailView, {"email": email_id})
        if not found:
            raise NoSuchEmail(f"there is no email {email_id!r}")
        return found[0]

    def failures(self, email_id: str, severities: Sequence[str], after: str | None, limit: int) -> FailuresPage:
        """The failures of an email by recipient id, from after that one on; raises NoSuchEmail."""
        self.email(email_id)
        asked = {"email": email_id, "severities": list(severities), "after": after or "", "limit": limit + 1}
        return failures_page(self._rows(FAILURES, FailureView, asked), limit)

    def batches(self, email_id: str, after: str | None, limit: int) -> BatchesPage:
        """The batches of an email by id, from after that one on; raises NoSuchEmail."""
        self.email(email_id)
        asked = {"email": email_id, "after": after or "", "limit": limit + 1}
        found = self._rows(BATCHES, BatchView, asked)
        if len(found) <= limit:
            found += self._rows(WITHOUT_BATCH, BatchView, asked)
        return batches_page(found, limit)

    def snapshot(self) -> list[EmailView]:
        """The newest emails, for the live stream."""
        return list(self.emails(None, SNAPSHOT_EMAILS).emails)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _rows(self, statement: LiteralString, kind: type[T], asked: Mapping[str, Any]) -> list[T]:
        try:
            with self._pool.connection() as connection, connection.cursor(row_factory=class_row(kind)) as cursor:
                # Planned each time, for the tables as they are now.
                return cursor.execute(statement, asked, prepare=False).fetchall()
        except (PoolTimeout, PoolClosed) as error:
            raise Transient("the database does not answer; the console tries again at the next request") from error
        except psycopg.DataError:
            raise BadRequest("ids and cursors are text without control characters, as the lists show them") from None
        except psycopg.Error as error:
            if cause_of(error) is Cause.NOT_MIGRATED:
                raise Transient("the database has no such tables yet; run `mailriver migrate`") from error
            raise Transient(f"the database: {postgres.one_line(error)}") from error
