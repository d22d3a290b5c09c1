"""What the services are given to do: one newsletter's events, raw and typed, in the order of their times."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec
import psycopg

from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.events import EmailEvent
from services.contracts.outcome import Emit
from services.contracts.reasons import Loop
from services.fetcher.adapters.raw_topic import RawTopic
from services.fetcher.core.page import item_of
from services.processor.adapters.directory import PostgresDirectory
from services.processor.pipeline import process
from services.runtime.bus.api import Outgoing
from services.sandbox import newsletter as newsletters
from services.sandbox.demo import DOMAIN
from services.sandbox.newsletter import Newsletter
from services.storage.core.fold import Received

_EVENTS_OF_A_RECIPIENT = 1.7
_AGO_SECONDS, _COURSE_SECONDS = 4_000.0, 1_800.0
_PART = 4_000


class Load(msgspec.Struct, frozen=True):
    """The events and their recipients."""

    newsletter: Newsletter
    raw: list[Outgoing]
    """Records of the raw topic; their topic is without prefix."""
    typed: list[bytes]
    """Records of ``email.events`` that come of them."""
    recipients: dict[str, str]
    """Recipient ids by lower-case address, as a bare script would keep them."""


def newsletter_of(events: int, now: float) -> Newsletter:
    """A newsletter of about so many events, all of them an hour old. ``now``: seconds since 1970 UTC."""
    newsletter = newsletters.plan(
        max(1, round(events / _EVENTS_OF_A_RECIPIENT)),
        seed=7,
        start=now - _AGO_SECONDS,
        duration_seconds=_COURSE_SECONDS,
        late_seconds=0.0,
        domain=DOMAIN,
    )
    newsletter.events.sort(key=lambda event: event.timestamp)
    return newsletter


def load_of(newsletter: Newsletter, dsn: str, codec: Codec, now: float) -> Load:
    """Insert the newsletter's rows, and make its records. Blocks for seconds."""
    with psycopg.connect(dsn) as connection:
        newsletters.insert(newsletter, connection)
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    raw_topic = RawTopic(codec, "")
    items = [item_of(json.loads(event.payload_bytes()), event.payload_bytes()) for event in newsletter.events]
    raw = raw_topic.records(newsletter.domain, Loop.LATEST, items, round(now * 1_000_000))
    numbers = range(newsletter.recipients)
    recipients = {newsletter.address(number).lower(): newsletter.recipient_id(number) for number in numbers}
    return Load(newsletter, raw, list(_typed(raw, dsn, codec)), recipients)


def _typed(raw: list[Outgoing], dsn: str, codec: Codec) -> Iterator[bytes]:
    directory = PostgresDirectory(dsn)
    try:
        for at in range(0, len(raw), _PART):
            decoded = [codec.decode(record.value) for record in raw[at : at + _PART]]
            for outcome in process(decoded, directory).outcomes:  # type: ignore[arg-type]  # raw events all
                if isinstance(outcome, Emit):
                    yield codec.encode(topics.EMAIL_EVENTS, outcome.event)
    finally:
        directory.close()


def received(decode: Callable[[bytes], object], values: list[bytes], first: int) -> list[Received]:
    """Records of ``email.events`` as storage has them once they are read; ``first``: the offset of the first."""
    decoded = [decode(value) for value in values]
    return [Received(event, 0, first + at) for at, event in enumerate(decoded) if isinstance(event, EmailEvent)]  # type: ignore[arg-type]  # one of its classes
