"""What an event costs in storage beside more and more rows of earlier emails."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import psycopg

from services.contracts import topics
from services.contracts.events import EmailDelivered, EmailOpened, TypedEvent
from services.sandbox.bench.figures import Aim, Figure, Progress, Sample
from services.sandbox.bench.storage import BATCH
from services.sandbox.bench.world import World
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.fold import Received

_EMAILS_OF_THE_SMALLEST = 10
_RECIPIENTS_OF_A_MEMBER = 10
_OPENED = 0.46
_STRIDE = 7_919
"""A prime: an email's members are spread over the whole table, and each is in it once."""

_ROWS = (
    "INSERT INTO mailriver.members (id, email) "
    "SELECT 'm' || lpad(n::text, 23, '0'), 'm' || n || '@example.com' FROM generate_series(0, {members} - 1) n",
    "INSERT INTO mailriver.emails (id, subject, submitted_at) "
    "SELECT 'e' || lpad(n::text, 23, '0'), 'News', now() FROM generate_series(0, {emails} - 1) n",
    "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) "
    "SELECT 'r' || lpad(n::text, 23, '0'), 'e' || lpad((n / {email})::text, 23, '0'), "
    "'m' || lpad((n::bigint * {stride} % {members})::text, 23, '0'), "
    "'m' || n::bigint * {stride} % {members} || '@example.com' FROM generate_series(0, {rows} - 1) n",
    "VACUUM ANALYZE",
    "CHECKPOINT",
)


class Table(msgspec.Struct, frozen=True):
    """A table of recipients; its emails are told about one after the other, the last one first."""

    rows: int
    email: int
    """Recipients of each email."""

    @property
    def emails(self) -> int:
        """How many emails they are of."""
        return self.rows // self.email

    def statements(self) -> list[str]:
        """What makes it."""
        members = max(self.email, self.rows // _RECIPIENTS_OF_A_MEMBER)
        numbers = {"rows": self.rows, "email": self.email, "emails": self.emails, "members": members}
        return [statement.format(stride=_STRIDE, **numbers) for statement in _ROWS]

    def events(self, email: int, now: int) -> list[TypedEvent]:
        """The events of one email: all are delivered, nearly half are opened, in no order. ``now``: microseconds."""
        rng = random.Random(email)
        members = max(self.email, self.rows // _RECIPIENTS_OF_A_MEMBER)
        events: list[TypedEvent] = []
        for number in range(email * self.email, (email + 1) * self.email):
            kinds = (EmailDelivered, EmailOpened) if rng.random() < _OPENED else (EmailDelivered,)
            member = number * _STRIDE % members
            events += [
                kind(
                    event_id=f"{kind.event_type}-{number}",
                    occurred_at=now + number,
                    email_id=f"e{email:023}",
                    recipient_id=f"r{number:023}",
                    member_id=f"m{member:023}",
                    recipient=f"m{member}@example.com",
                    domain="mg.example.com",
                    loop="latest",
                )
                for kind in kinds
            ]
        rng.shuffle(events)
        return events


def tables_of(events: int, *, large: bool) -> list[Table]:
    """0.1, 1 and, if ``large``, 10 million rows at 200 000 events; fewer with fewer."""
    email = max(10, events // 20)
    return [Table(email * _EMAILS_OF_THE_SMALLEST * times, email) for times in ((1, 10, 100) if large else (1, 10))]


def figure_of(table: Table, smallest: Table) -> Figure:
    """The row of a table."""
    title = f"an event in storage, {table.rows:,} recipients"
    if table is smallest:
        return Figure(title, "us")
    aims = (Aim(1.33, at_least=False, of_ratio=True),)
    return Figure(title, "us", aims, floor=f"the same with {smallest.rows:,} recipients")


class Growth:
    """The tables, which are kept from run to run, and the stores on them."""

    def __init__(self, world: World) -> None:
        """Fill the tables. Blocks: some 20 s a million rows."""
        self._world = world
        self._tables = tables_of(world.events, large=world.large)
        self._emails = max(1, _EMAILS_OF_THE_SMALLEST // world.runs)
        self._stores: list[PostgresStore] = []
        self._told = 0
        for table in self._tables:
            dsn = world.empty_database()
            with psycopg.connect(dsn, autocommit=True) as connection:
                for statement in table.statements():
                    connection.execute(statement)
            self._stores.append(PostgresStore(dsn, topics.EMAIL_EVENTS))

    def measure(self) -> Iterator[Sample]:
        """One run: some emails that nothing was known of yet, on each table."""
        costs = [self._cost(table, store) for table, store in zip(self._tables, self._stores, strict=True)]
        self._told += self._emails
        smallest = self._tables[0]
        for table, cost in zip(self._tables, costs, strict=True):
            yield Sample(figure_of(table, smallest), cost, None if table is smallest else costs[0])

    def _cost(self, table: Table, store: PostgresStore) -> float:
        """Microseconds an event."""
        now = round(self._world.clock.now() * 1_000_000)
        emails = range(table.emails - self._told - self._emails, table.emails - self._told)
        events = [event for email in emails for event in table.events(email, now)]
        progress = Progress(self._world.clock.monotonic())
        for at in range(0, len(events), BATCH):
            part = events[at : at + BATCH]
            offset = now + at  # any that has not been counted yet
            store.apply([Received(event, 0, offset + place) for place, event in enumerate(part)])
            progress.reached(self._world.clock.monotonic(), at + len(part))
        return 1_000_000 / progress.per_second

    def close(self) -> None:
        """Let the connections go."""
        for store in self._stores:
            store.close()
