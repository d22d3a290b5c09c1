"""Which loops this process runs, and the producers that prove it.

The consumer group of the commands topic says who holds which of its partitions; a domain's loops belong to the
holder of the partition of its name. Taking a partition over means: open the producer whose transactional id carries
its number, which fences whoever held it before; then read the states, which nobody else can change any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.contracts.partitioning import partition_of
from services.contracts.reasons import Loop
from services.fetcher.adapters.state_topic import StateTopic
from services.fetcher.core.cursor import Cursor
from services.fetcher.core.loop import LoopState
from services.fetcher.core.window import POLLING, Margins, first_begin
from services.fetcher.task import LoopTask, Ticket
from services.runtime.bus.api import Outgoing, Partition
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.producer import TransactionalProducer


class Lease:
    """A partition of the commands topic that is held, and the loops that go with it."""

    def __init__(self, place: Partition, producer: TransactionalProducer) -> None:
        self.place, self.producer = place, producer
        self.command_offset = 0
        """The next command to read, committed anew with every page."""
        self.tasks: list[LoopTask] = []

    def publish(self, records: Sequence[Outgoing], consumer: GroupConsumer) -> None:
        """Publish records in one transaction that only a member of the present generation can commit. Blocks.

        Raises:
            Transient, SessionLost: nothing was published.

        """
        self.producer.commit(records, {self.place: self.command_offset}, consumer.group_metadata())


class Leases:
    """All that is held now."""

    def __init__(
        self,
        domains: Sequence[str],
        states: StateTopic,
        margins: Margins,
        *,
        make_producer: Callable[[int], TransactionalProducer],
        make_task: Callable[[LoopState], LoopTask],
    ) -> None:
        """``make_producer``: opens the producer of a partition's number. ``make_task``: of a loop's state."""
        self._domains, self._states, self._margins = domains, states, margins
        self._make_producer, self._make_task = make_producer, make_task
        self._held: dict[Partition, Lease] = {}

    @property
    def tasks(self) -> list[LoopTask]:
        """The loops that are run here."""
        return [task for lease in self._held.values() for task in lease.tasks]

    def find(self, ticket: Ticket) -> tuple[Lease, LoopTask] | None:
        """Whose answer this is; None if its run has been given up."""
        for lease in self._held.values():
            for task in lease.tasks:
                if task.ticket == ticket:
                    return lease, task
        return None

    def latest_through(self, domain: str, loops: Sequence[Loop]) -> tuple[int | None, ...]:
        """What these loops of a domain have fetched through."""
        through = {task.state.loop: task.state.fetched_through for task in self.tasks if task.state.domain == domain}
        return tuple(through.get(loop) for loop in loops)

    def take(self, places: Sequence[Partition], partitions: int, consumer: GroupConsumer, now: int) -> None:
        """Take partitions over that were assigned. Blocks for the coordinators and the state topic.

        ``partitions``: of the commands topic. ``now``: microseconds; loops that never ran begin relative to it, and
        are written down at once, so that a crash before their first page does not move their begin.

        Raises:
            Transient, SessionLost: not taken; try again.

        """
        self.drop(places)
        owned = {place: self._of(place[1], partitions) for place in places}
        wanted = {place: domains for place, domains in owned.items() if domains}
        if not wanted:
            return
        # The producers first: they end the transactions of former owners, which committed offsets wait for.
        for place in wanted:
            self._held[place] = Lease(place, self._make_producer(place[1]))
        leases = {place: self._held[place] for place in wanted}
        for place, offset in consumer.committed(wanted).items():
            leases[place].command_offset = offset
        states = self._states.read([domain for domains in wanted.values() for domain in domains])
        for place, lease in leases.items():
            self._fill(lease, wanted[place], states, consumer, now)

    def _of(self, number: int, partitions: int) -> list[str]:
        return [domain for domain in self._domains if partition_of(domain.encode(), partitions) == number]

    def _fill(
        self,
        lease: Lease,
        domains: Sequence[str],
        states: Mapping[tuple[str, Loop], LoopState],
        consumer: GroupConsumer,
        now: int,
    ) -> None:
        first = [
            LoopState(domain, loop, Cursor(first_begin(loop, now, self._margins)))
            for domain in domains
            for loop in POLLING
            if (domain, loop) not in states
        ]
        if first:
            lease.publish([self._states.record(state, now) for state in first], consumer)
        known = [state for (domain, _), state in states.items() if domain in domains]
        lease.tasks = [self._make_task(state) for state in (*known, *first)]

    def drop(self, places: Sequence[Partition]) -> set[Ticket]:
        """Let go of partitions; the tickets of their loops. Blocks a second a producer at most."""
        tickets: set[Ticket] = set()
        for place in places:
            lease = self._held.pop(place, None)
            if lease is not None:
                tickets |= {task.ticket for task in lease.tasks if task.ticket is not None}
                lease.producer.close()
        return tickets

    def drop_all(self) -> set[Ticket]:
        """Let go of everything."""
        return self.drop(list(self._held))
