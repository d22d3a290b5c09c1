"""The statement that changes recipients and members, and counts what follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

from services.storage.adapters.arrays import instant_array, texts
from services.storage.adapters.queries import query
from services.storage.core.fold import Fold, fold
from services.storage.core.members import last_seen
from services.storage.core.outcomes import Value
from services.storage.core.part import Part

_COLUMNS = (Value.DELIVERED, Value.OPENED, Value.CLICKED, Value.FAILED)


class RowChanges(msgspec.Struct, frozen=True):
    """What the statement did."""

    changed: dict[Value, dict[str, int]]
    """For each value and key the index of the event, in the part, that it now comes from."""
    gone: set[str]
    """The recipients without a row."""


def apply_rows(connection: psycopg.Connection, part: Part, times: list[int], disabled: Sequence[str]) -> RowChanges:
    """Apply a part inside the transaction that is open.

    ``times`` are its instants as ``arrays.instants`` gives them, ``disabled`` the members that get
    ``email_disabled``. Raises psycopg's errors.
    """
    folded, seen = fold(part), last_seen(part)
    gone = set(folded.unstorable)
    if not folded.keys and not seen and not disabled:
        return RowChanges({}, gone)
    delivered, opened, clicked, failed = (
        instant_array([times[winner] for winner in winners]) for winners in folded.winners
    )
    parameters = {
        "ids": texts(folded.keys),
        "delivered": delivered,
        "opened": opened,
        "clicked": clicked,
        "failed": failed,
        "members": texts(seen),
        "seen": instant_array([times[index] for index in seen.values()]),
        "disabled": texts(disabled),
    }
    # Prepared, so that the plan is the generic one: see begin_batch.sql.
    row = connection.cursor(binary=True).execute(query("apply_rows"), parameters, prepare=True).fetchone()
    places, won, moved, missing = row if row is not None else (None, None, None, None)
    changed = _won(folded, places or (), won or ())
    members = list(seen)
    changed[Value.LAST_SEEN] = {members[place]: seen[members[place]] for place in moved or ()}
    gone.update(folded.keys[place] for place in missing or ())
    return RowChanges(changed, gone)


def _won(folded: Fold, places: Sequence[int], bits: Sequence[int]) -> dict[Value, dict[str, int]]:
    keys = folded.keys
    changed: dict[Value, dict[str, int]] = {}
    for column, value in enumerate(_COLUMNS):
        winners, bit = folded.winners[column], 1 << column
        changed[value] = {keys[row]: winners[row] for row, won in zip(places, bits, strict=True) if won & bit}
    return changed
