"""The directory on Postgres: the recipients of all lookups of a batch in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
from cachetools import LRUCache
from typing_extensions import override

from services.processor.adapters.errors import translated
from services.processor.core.addresses import spellings
from services.processor.core.resolve import Candidate, Lookup, Recipient, Resolution, Unmatched, decide
from services.processor.core.text import storable
from services.processor.ports import Found, RecipientDirectory
from services.runtime import postgres

# LIMIT keeps the planner from flattening the subqueries: whatever it believes of the tables, it has to walk
# through the keys and probe the indexes for each. (A recipient's address is unique in its email, and so is a
# message id, so no row is left out.) The key NULL, where the first probe found a row, costs no second probe.
FIND_RECIPIENTS = b"""
SELECT k.position,
       named.id IS NOT NULL,
       coalesce(named.id, sent.id),
       coalesce(named.email_id, sent.email_id),
       CASE WHEN named.id IS NULL THEN sent.member_id ELSE named.member_id END,
       coalesce(named.member_email, sent.member_email)
FROM unnest(%b::text[], %b::text[], %b::text[]) WITH ORDINALITY AS k (email_id, message_id, address, position)
LEFT JOIN LATERAL (
  SELECT r.id, r.email_id, r.member_id, r.member_email
  FROM mailriver.email_recipients r
  WHERE r.email_id = k.email_id AND lower(r.member_email) = k.address
  LIMIT 1
) named ON true
LEFT JOIN LATERAL (
  SELECT r.id, r.email_id, r.member_id, r.member_email
  FROM mailriver.email_batches b
  JOIN mailriver.email_recipients r ON r.email_id = b.email_id AND lower(r.member_email) = k.address
  WHERE b.provider_id = CASE WHEN named.id IS NULL THEN k.message_id END
  LIMIT 1
) sent ON true
WHERE named.id IS NOT NULL OR sent.id IS NOT NULL
"""

# Thousands of probes look dear enough to the planner to compile the statement first, which takes longer than to run it.
_OPTIONS = "-c jit=off -c statement_timeout=60s"
_CACHED_LOOKUPS = 30_000
"""Some 25 MB."""

_Key = tuple[str | None, str | None, str, Lookup]
"""Email id, message id and one spelling of the address that a lookup asks for, and the lookup."""

_Row = tuple[int, bool, str, str, str | None, str]
"""Position of the key, whether found by its email id, and the recipient."""


class PostgresDirectory(RecipientDirectory):
    """Looks recipients up over one connection, which it opens when it needs one. For one thread.

    What was found is remembered, the least recently used forgotten first. What was not found is asked again,
    since the application may be about to commit it.
    """

    def __init__(
        self, dsn: str, *, application_name: str = "mailriver-processor", cached_lookups: int = _CACHED_LOOKUPS
    ) -> None:
        """``cached_lookups``: how many are remembered at most."""
        self._dsn = dsn
        self._application_name = application_name
        self._connection: psycopg.Connection | None = None
        self._cache: LRUCache[Lookup, Recipient] = LRUCache(cached_lookups)

    @override
    def find(self, lookups: Sequence[Lookup]) -> Found:
        """See :class:`RecipientDirectory`."""
        cached = [self._cache.get(lookup) for lookup in lookups]
        missing = {lookup for lookup, recipient in zip(lookups, cached, strict=True) if recipient is None}
        answers = self._ask(missing) if missing else {}
        return Found(
            resolutions=[
                answers[lookup] if recipient is None else recipient
                for lookup, recipient in zip(lookups, cached, strict=True)
            ],
            cached=len(cached) - cached.count(None),
            asked=len(missing),
            unmatched=sum(isinstance(answer, Unmatched) for answer in answers.values()),
        )

    @override
    def close(self) -> None:
        """See :class:`RecipientDirectory`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, lookups: Iterable[Lookup]) -> dict[Lookup, Resolution]:
        candidates: dict[Lookup, list[Candidate]] = {lookup: [] for lookup in lookups}
        keys = _keys(candidates)
        for position, by_email_id, recipient_id, email_id, member_id, address in self._rows(keys):
            recipient = Recipient(recipient_id, email_id, member_id, address)
            candidates[keys[position - 1][3]].append(Candidate(recipient, by_email_id))
        answers = {lookup: decide(lookup, found) for lookup, found in candidates.items()}
        self._cache.update({lookup: each for lookup, each in answers.items() if isinstance(each, Recipient)})
        return answers

    def _rows(self, keys: Sequence[_Key]) -> list[_Row]:
        if not keys:
            return []
        email_ids, message_ids, addresses, _ = map(list, zip(*keys, strict=True))
        try:
            # Planned each time, for so many keys and the tables as they are now: a third of a millisecond.
            cursor = self._open().execute(FIND_RECIPIENTS, (email_ids, message_ids, addresses), prepare=False)
            return cursor.fetchall()
        except psycopg.Error as error:
            raised = translated(error)
            self.close()
            raise raised from error

    def _open(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = postgres.connect(self._dsn, self._application_name, options=_OPTIONS)
        return self._connection


def _keys(lookups: Iterable[Lookup]) -> list[_Key]:
    """What to ask for, in the order of the index, so that neighbours share its pages.

    A text that Postgres cannot hold is in no row, so it is left out.
    """
    keys: list[_Key] = [
        (_storable(lookup.email_id), _storable(lookup.message_id), spelling, lookup)
        for lookup in lookups
        for spelling in spellings(lookup.address)
        if storable(spelling)
    ]
    keys.sort(key=_index_order)
    return keys


def _storable(text: str | None) -> str | None:
    return text if text is not None and storable(text) else None


def _index_order(key: _Key) -> tuple[str, str, str]:
    return key[0] or "", key[1] or "", key[2]
