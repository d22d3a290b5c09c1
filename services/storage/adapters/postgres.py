"""The store on Postgres: a batch is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from typing_extensions import override

from services.runtime.errors import Transient
from services.storage.adapters.accounting import add_totals, take_offsets
from services.storage.adapters.arrays import instants
from services.storage.adapters.errors import DataRefused, Deadlock, translated
from services.storage.adapters.failures import record_failures
from services.storage.adapters.queries import query
from services.storage.adapters.rows import apply_rows
from services.storage.adapters.session import SessionLimits, connect
from services.storage.adapters.suppressions import record_complaints, record_suppressed_members, record_suppressions
from services.storage.adapters.unsubscriptions import record_unsubscriptions
from services.storage.core.fold import Received
from services.storage.core.outcomes import Outcomes, Value, counted_before, next_offsets, totals
from services.storage.core.part import Part
from services.storage.ports import Applied, EventStore, Poisoned

_DEADLOCK_TRIES = 5


class PostgresStore(EventStore):
    """Applies batches over one connection, which it opens when it needs one. For one thread."""

    def __init__(
        self,
        dsn: str,
        topic: str,
        *,
        application_name: str = "mailriver-storage",
        limits: SessionLimits | None = None,
    ) -> None:
        """``topic`` is where the records come from: their offsets are stored under its name."""
        self._dsn = dsn
        self._topic = topic
        self._application_name = application_name
        self._limits = limits or SessionLimits()
        self._connection: psycopg.Connection | None = None

    @override
    def apply(self, batch: Sequence[Received]) -> Applied:
        """See :class:`EventStore`."""
        for _ in range(_DEADLOCK_TRIES - 1):
            try:
                return self._apply_or_isolate(batch)
            except Deadlock:
                continue
        return self._apply_or_isolate(batch)

    @override
    def close(self) -> None:
        """See :class:`EventStore`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _apply_or_isolate(self, batch: Sequence[Received]) -> Applied:
        """Apply the batch as a whole; where a row refuses that, once more, looking for the row."""
        try:
            return self._transaction(batch, isolate=False)
        except DataRefused:
            return self._transaction(batch, isolate=True)

    def _transaction(self, batch: Sequence[Received], *, isolate: bool) -> Applied:
        connection = self._open()
        try:
            with connection.transaction():
                return _Transaction(connection, self._topic, batch).run(isolate=isolate)
        except psycopg.Error as error:
            raised = translated(error)
            if isinstance(raised, Transient) and not isinstance(raised, Deadlock):
                self.close()
            raise raised from error

    def _open(self) -> psycopg.Connection:
        if self._connection is not None and self._connection.closed:
            self._connection = None
        if self._connection is None:
            self._connection = connect(self._dsn, self._application_name, self._limits)
        return self._connection


class _Transaction:
    """One batch in one open transaction."""

    def __init__(self, connection: psycopg.Connection, topic: str, batch: Sequence[Received]) -> None:
        self._connection = connection
        self._topic = topic
        self._batch = batch
        self._events = [received.event for received in batch]
        self._outcomes = Outcomes(self._events)
        self._poisoned: dict[int, str] = {}

    def run(self, *, isolate: bool) -> Applied:
        """Apply all of it. With ``isolate`` rows that are refused are left out, else they are raised."""
        self._connection.execute(query("begin_batch"))
        stored = take_offsets(self._connection, self._topic, next_offsets(self._batch))
        everything = range(len(self._batch))
        if isolate:
            self._isolate(everything)
        else:
            self._apply(everything)
        verdicts = self._outcomes.verdicts()
        counted = totals(self._batch, verdicts, counted_before(self._batch, stored) | self._poisoned.keys())
        add_totals(self._connection, counted)
        return Applied(
            verdicts=[None if i in self._poisoned else verdict for i, verdict in enumerate(verdicts)],
            totals=counted,
            poisoned=[Poisoned(index, self._poisoned[index]) for index in sorted(self._poisoned)],
        )

    def _apply(self, indices: Sequence[int]) -> None:
        """Apply a part, table by table in the order in which everybody locks them."""
        connection, part = self._connection, Part.of([self._events[index] for index in indices])
        times = instants(part.instants)
        changed: dict[Value, Mapping[Any, int]] = {
            Value.UNSUBSCRIPTION: record_unsubscriptions(connection, part, times),
            Value.COMPLAINT: record_complaints(connection, part, times),
            Value.SUPPRESSION: record_suppressions(connection, part, times),
        }
        suppressed = record_suppressed_members(connection, part)
        changed[Value.SUPPRESSED_MEMBER] = suppressed
        changed[Value.FAILURE] = record_failures(connection, part, times)
        rows = apply_rows(connection, part, times, sorted({member_id for _, member_id in suppressed}))
        self._outcomes.add(indices, changed | rows.changed, rows.gone)

    def _isolate(self, part: Sequence[int]) -> None:
        """Apply a part under a savepoint; where it is refused, its halves, down to single events."""
        refused = self._refusal(part)
        if refused is None:
            return
        if len(part) == 1:
            self._poisoned[part[0]] = str(refused)
            return
        middle = len(part) // 2
        self._isolate(part[:middle])
        self._isolate(part[middle:])

    def _refusal(self, part: Sequence[int]) -> DataRefused | None:
        """Apply a part under a savepoint; why it could not be, if the data is to blame."""
        try:
            with self._connection.transaction():
                self._apply(part)
        except DataRefused as error:
            return error
        except psycopg.Error as error:
            refused = translated(error)
            if isinstance(refused, DataRefused):
                return refused
            raise
        return None
