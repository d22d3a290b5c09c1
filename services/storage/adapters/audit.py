"""Recounts what is stored, a bounded statement at a time, and mends it behind the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import psycopg

from services.runtime import postgres
from services.storage.adapters.errors import Deadlock, translated
from services.storage.adapters.migrations import require_schema
from services.storage.adapters.queries import query
from services.storage.core.audit import TABLES, Row, Step, Summary, Table, step_of

T = TypeVar("T")
_TRIES = 5
# Storage waits 30 s for the gate before it gives its batch up for a while: a repair is over before that.
_GATE_WAIT_MILLISECONDS, _GATE_HELD_MILLISECONDS = 5_000, 20_000
_SIZE = "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class WHERE oid = ANY(%s::regclass[])"
_TABLE_NAMES = [f"mailriver.{'email_recipients' if table.name == 'recipients' else table.name}" for table in TABLES]


class Bounds(msgspec.Struct, frozen=True):
    """How much one statement looks at."""

    rows: int = 10_000
    recipients: int = 200_000
    """Of the emails of one step together. An email with more is a step of its own."""
    statement_seconds: int = 120


class Auditor:
    """Audits one database over one connection. A context manager that closes it; not for two threads."""

    def __init__(self, dsn: str, bounds: Bounds | None = None) -> None:
        """Connects. Blocks for 10 s at most.

        Raises:
            Transient: the database is away.
            Fatal: it refuses the role, or is not migrated.

        """
        self._bounds = bounds or Bounds()
        try:
            self._connection = postgres.connect(
                dsn,
                "mailriver-audit",
                # Rows by the hundred thousand are recounted in a second: compiling the statement costs more.
                options=f"-c statement_timeout={self._bounds.statement_seconds}s -c timezone=UTC -c jit=off",
                prepare_threshold=None,
            )
            require_schema(self._connection)
        except psycopg.Error as error:
            raise translated(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def size(self) -> int:
        """About how many rows there are to audit, by the planner's statistics."""
        (rows,) = self._connection.execute(_SIZE, (_TABLE_NAMES,)).fetchone() or (0,)
        return int(rows)

    def steps(self, *, repair: bool) -> Iterator[Step]:
        """Audit all tables by key, a step at a time, beside whoever writes; with ``repair`` each step is mended.

        Each step is one statement in one snapshot: what is right in it is right, since values change in the
        transaction of the rows that they are counted from. A repair recounts once more behind the gate, alone.

        Raises:
            Transient: the database is away or too busy; what was repaired stays so.
            Fatal: the role lacks its rights.

        """
        for table in TABLES:
            after: list[str] | None = ["", ""]
            while after:
                step, after = self._step(table, after, repair=repair)
                yield step

    def record(self, began_at: datetime, ended_at: datetime, summary: Summary) -> None:
        """Keep what an audit found, for storage to show it."""
        self._translated(
            lambda: self._connection.execute(
                query("record_audit"),
                {"began_at": began_at, "ended_at": ended_at, **msgspec.structs.asdict(summary)},
            )
        )

    def _step(self, table: Table, after: list[str], *, repair: bool) -> tuple[Step, list[str] | None]:
        rows, last, wrong = self._translated(lambda: self._look(table, after))
        left = None
        if repair and wrong and table.is_mendable:
            left = self._translated(lambda: self._mend(table, sorted({row[0] for row in wrong})))
        return step_of(table, rows, wrong, left), last if rows else None

    def _look(self, table: Table, after: list[str]) -> tuple[int, list[str], list[Row]]:
        parameters = {"after": after, "rows": self._bounds.rows, "recipients": self._bounds.recipients}
        found = self._connection.execute(query(f"audit_{table.name}"), parameters).fetchone()
        return found if found is not None else (0, [], [])

    def _mend(self, table: Table, ids: list[str]) -> set[str]:
        """Recount these rows behind the gate and write it down, in one transaction; the ids that are left wrong."""
        with self._connection.transaction():
            self._connection.execute(
                query("take_gate_alone"),
                {
                    "lock_milliseconds": str(_GATE_WAIT_MILLISECONDS),
                    "statement_milliseconds": str(_GATE_HELD_MILLISECONDS),
                },
            )
            cursor = self._connection.execute(query(f"repair_{table.name}"), {"ids": ids})
            return {row_id for (row_id,) in cursor} if cursor.description else set()

    def _translated(self, work: Callable[[], T]) -> T:
        for _ in range(_TRIES - 1):
            try:
                return _once(work)
            except Deadlock:
                continue
        return _once(work)


def _once(work: Callable[[], T]) -> T:
    try:
        return work()
    except psycopg.Error as error:
        raise translated(error) from error


def last_audit(dsn: str) -> tuple[float, Summary] | None:
    """When the last audit ended (seconds since 1970) and what it found; None before the first. Blocks.

    Raises:
        psycopg.Error: to be translated by the caller.

    """
    with postgres.connect(dsn, "mailriver-storage", options="-c statement_timeout=5s", connect_seconds=3) as connection:
        found = connection.execute(query("last_audit")).fetchone()
    return None if found is None else (float(found[0]), Summary(*found[1:]))
