"""Storage alone: typed events decoded and applied by all rules, without Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.contracts import topics
from services.contracts.events import EmailEvent
from services.sandbox.bench.bare_postgres import KINDS, BareTable
from services.sandbox.bench.figures import Aim, Figure, Progress, Sample
from services.sandbox.bench.load import received
from services.sandbox.bench.world import World
from services.storage.adapters.postgres import PostgresStore

BATCH = 10_000
_FLOOR = "the same records decoded, copied into an unlogged table, and one UPDATE of the recipients"
FRESH = Figure("storage alone, fresh", "events/s", (Aim(75_000, at_least=True),), floor=_FLOOR)
AGAIN = Figure("storage alone, again", "events/s", floor=_FLOOR)


def measure(world: World) -> Iterator[Sample]:
    """One run: the backlog onto fresh rows, and a second time, when nothing changes any more."""
    with world.database() as dsn, world.database() as bare_dsn, BareTable(bare_dsn) as bare:
        store = PostgresStore(dsn, topics.EMAIL_EVENTS)
        try:
            offset = 0
            for figure in (FRESH, AGAIN):
                rate, offset = _applied(world, store, offset)
                yield Sample(figure, rate, _timed(world, lambda part: _bare(world, bare, part)))
        finally:
            store.close()


def _applied(world: World, store: PostgresStore, offset: int) -> tuple[float, int]:
    """The rate of the backlog through the store, and the offset after it."""
    decode = world.codec.decode
    done = offset

    def apply(part: list[bytes]) -> None:
        nonlocal done
        store.apply(received(decode, part, done))
        done += len(part)

    return _timed(world, apply), done


def _bare(world: World, table: BareTable, part: list[bytes]) -> None:
    events = [world.codec.decode(value) for value in part]
    table.apply(
        (event.recipient_id, KINDS[type(event)], event.occurred_at)
        for event in events
        if isinstance(event, EmailEvent) and type(event) in KINDS
    )


def _timed(world: World, apply: Callable[[list[bytes]], None]) -> float:
    typed = world.load.typed
    progress = Progress(world.clock.monotonic())
    for at in range(0, len(typed), BATCH):
        part = typed[at : at + BATCH]
        apply(part)
        progress.reached(world.clock.monotonic(), at + len(part))
    return progress.per_second
