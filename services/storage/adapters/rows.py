"""The statement that applies a fold to the recipients and counts what follows from it."""

from __future__ import annotations

import msgspec
import psycopg

from services.storage.adapters.arrays import instant_array, instants, texts
from services.storage.adapters.queries import query
from services.storage.core.fold import Fold


class RecipientChanges(msgspec.Struct, frozen=True):
    """What the statement did, by places in the fold's keys."""

    won: dict[int, int]
    """For each row that was written which columns took the fold's value: bit 0 for the first, and so on."""
    gone: list[int]
    """Keys without a row."""


def apply_rows(connection: psycopg.Connection, folded: Fold) -> RecipientChanges:
    """Apply a fold inside the transaction that is open; raises psycopg's errors and ``DataRefused``."""
    if not folded.keys:
        return RecipientChanges({}, [])
    times = instants(folded.instants)
    delivered, opened, clicked, failed = (
        instant_array([times[winner] for winner in winners]) for winners in folded.winners
    )
    parameters = {
        "ids": texts(folded.keys),
        "delivered": delivered,
        "opened": opened,
        "clicked": clicked,
        "failed": failed,
    }
    # Prepared, so that the plan is the generic one: see begin_batch.sql.
    cursor = connection.cursor(binary=True)
    row = cursor.execute(query("apply_rows"), parameters, prepare=True).fetchone()
    places, won, gone = row if row is not None else (None, None, None)
    return RecipientChanges(dict(zip(places or (), won or (), strict=True)), gone or [])
