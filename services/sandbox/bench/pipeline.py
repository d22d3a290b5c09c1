"""From the raw topic to committed in Postgres: processor and storage as processes on a backlog."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg

from services.contracts import topics
from services.contracts.events import RawMailgunEvent
from services.sandbox.bench.bare_kafka import BareLoop, Onlooker
from services.sandbox.bench.bare_postgres import BareTable, Change
from services.sandbox.bench.figures import Aim, Figure, Progress, Sample
from services.sandbox.bench.storage import BATCH
from services.sandbox.bench.world import PARTITIONS, World

FIGURE = Figure(
    "raw topic to Postgres",
    "events/s",
    (Aim(20_000, at_least=True), Aim(2.0, at_least=False, of_ratio=True)),
    floor="one script: consume, decode, look up in a dict, COPY and one UPDATE, commit the offsets",
)
_LOOK_SECONDS = 0.02
_KINDS = {"delivered": 0, "opened": 1, "clicked": 2, "failed": 3}
STORED = "SELECT coalesce(sum(events), 0)::bigint FROM mailriver.storage_totals"
"""How many typed events storage has committed."""


def measure(world: World) -> Iterator[Sample]:
    """One run over the backlog, then the floor over the same topic."""
    prefix = world.prefix(backlog=True)
    yield Sample(FIGURE, _services(world, prefix), _floor(world, prefix))


def _services(world: World, prefix: str) -> float:
    """Timed from the processor's first commit to storage's last one; what that first commit held is not counted."""
    raw, total = topics.prefixed(prefix, topics.RAW), len(world.load.raw)
    with (
        world.database() as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
        Onlooker(world.kafka, f"{prefix}processor", raw, PARTITIONS) as onlooker,
        world.services(prefix, dsn, "storage", "processor") as services,
    ):
        began = ended = world.clock.monotonic()
        first = 0
        for at, done in world.follow(onlooker.done, 1, services.values(), every=_LOOK_SECONDS):
            if 0 < done < total:
                began, first = at, done
        for at, _ in world.follow(
            lambda: stored(connection), len(world.load.typed), services.values(), every=_LOOK_SECONDS
        ):
            ended = at
    return (total - first) / (ended - began)


def stored(connection: psycopg.Connection) -> int:
    """How many typed events are committed."""
    row = connection.execute(STORED).fetchone()
    return row[0] if row else 0


def _floor(world: World, prefix: str) -> float:
    raw, total, done = topics.prefixed(prefix, topics.RAW), len(world.load.raw), 0
    with (
        world.database() as dsn,
        BareTable(dsn) as table,
        BareLoop(world.kafka, f"{prefix}bare-pipeline", raw, PARTITIONS) as loop,
    ):
        progress = Progress(world.clock.monotonic())
        for batch in loop.batches(BATCH, total):
            changes = [_change(world, message.value()) for message in batch]
            table.apply(change for change in changes if change is not None)
            loop.commit()
            done += len(batch)
            progress.reached(world.clock.monotonic(), done)
    return progress.per_second


def _change(world: World, value: bytes | None) -> Change | None:
    raw = world.codec.decode(value)
    assert isinstance(raw, RawMailgunEvent)  # noqa: S101 - we wrote it
    item = json.loads(raw.payload)
    kind, recipient = _KINDS.get(item["event"]), world.load.recipients.get(item["recipient"].lower())
    return None if kind is None or recipient is None else (recipient, kind, raw.occurred_at or 0)
