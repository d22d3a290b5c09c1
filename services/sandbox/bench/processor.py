"""The processor alone: one process from the raw topic to committed typed events."""

from __future__ import annotations

import json
from collections.abc import Iterator

from services.contracts import topics
from services.contracts.events import EmailDelivered, RawMailgunEvent
from services.processor.app import BATCH_RECORDS
from services.runtime.bus.api import Outgoing
from services.sandbox.bench.bare_kafka import BareLoop, Onlooker
from services.sandbox.bench.figures import Aim, Figure, Progress, Sample
from services.sandbox.bench.world import PARTITIONS, World

FIGURE = Figure(
    "processor alone, one process",
    "events/s",
    (Aim(30_000, at_least=True),),
    floor="consume, decode, json.loads, look up in a dict, encode, produce, in transactions of the same size",
)
_LOOK_SECONDS = 0.01


def measure(world: World) -> Iterator[Sample]:
    """One run over the backlog, then the floor over the same topic."""
    prefix = world.prefix(backlog=True)
    yield Sample(FIGURE, _service(world, prefix), _floor(world, prefix))


def _service(world: World, prefix: str) -> float:
    raw, total = topics.prefixed(prefix, topics.RAW), len(world.load.raw)
    with (
        world.database() as dsn,
        Onlooker(world.kafka, f"{prefix}processor", raw, PARTITIONS) as onlooker,
        world.services(prefix, dsn, "processor") as services,
    ):
        progress = Progress(world.clock.monotonic())
        for at, done in world.follow(onlooker.done, total, services.values(), every=_LOOK_SECONDS):
            progress.reached(at, done)
    return progress.per_second


def _floor(world: World, prefix: str) -> float:
    raw, to = topics.prefixed(prefix, topics.RAW), topics.prefixed(prefix, topics.EMAIL_EVENTS)
    total, done = len(world.load.raw), 0
    with BareLoop(world.kafka, f"{prefix}bare-processor", raw, PARTITIONS) as loop:
        progress = Progress(world.clock.monotonic())
        for batch in loop.batches(BATCH_RECORDS, total):
            loop.write([_transformed(world, message.value(), to) for message in batch])
            done += len(batch)
            progress.reached(world.clock.monotonic(), done)
    return progress.per_second


def _transformed(world: World, value: bytes | None, to: str) -> Outgoing:
    raw = world.codec.decode(value)
    assert isinstance(raw, RawMailgunEvent)  # noqa: S101 - we wrote it
    item = json.loads(raw.payload)
    address = item["recipient"]
    recipient_id = world.load.recipients.get(address.lower(), "unknown")
    event = EmailDelivered(
        event_id=raw.event_id,
        occurred_at=raw.occurred_at or 0,
        email_id=world.load.newsletter.email_id,
        recipient_id=recipient_id,
        member_id=None,
        recipient=address,
        domain=raw.domain,
        loop=raw.loop,
    )
    return Outgoing(to, recipient_id.encode(), world.codec.encode(topics.EMAIL_EVENTS, event))
