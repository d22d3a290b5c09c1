"""Which loops and schedules this process runs, and the producers that prove it.

The consumer group of the commands topic says who holds which of its partitions; a domain's loops and schedules belong
to the holder of the partition of its name. Taking a partition over means: open the producer whose transactional id
carries its number, which fences whoever held it before; then read the committed offset and the states, which nobody
else can change any more; then read the commands from that offset on. A partition that none of the domains belongs to
is held too: orders for unknown domains have to be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.contracts.partitioning import partition_of
from services.contracts.reasons import Loop
from services.fetcher.adapters.state_topic import States, StateTopic
from services.fetcher.backfill import ScheduleTask, SliceTask
from services.fetcher.backlog import Backlog
from services.fetcher.core.cursor import Cursor
from services.fetcher.core.loop import LoopState
from services.fetcher.core.schedule import Schedule
from services.fetcher.core.window import POLLING, Margins, first_begin
from services.fetcher.task import LoopTask, Ticket
from services.runtime.bus.api import Outgoing, Partition
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.producer import TransactionalProducer

Task = LoopTask | SliceTask
MakeProducer = Callable[[int], TransactionalProducer]


class Lease:
    """A partition of the commands topic that is held, and what goes with it."""

    def __init__(self, place: Partition, producer: TransactionalProducer, domains: Sequence[str]) -> None:
        self.place, self.producer, self.domains = place, producer, domains
        self.command_offset = 0
        """The next command to read, committed anew with every page."""
        self.is_placed = False
        """Whether the consumer goes on reading commands from that offset."""
        self.loops: list[LoopTask] = []
        self.backlog: Backlog

    @property
    def tasks(self) -> list[Task]:
        """All that has, or may have, a request under way."""
        return [*self.loops, *self.backlog.slice_tasks]

    def publish(self, records: Sequence[Outgoing], consumer: GroupConsumer, command_offset: int | None = None) -> None:
        """Publish records in one transaction that only a member of the present generation can commit. Blocks.

        ``command_offset``: the next command to read from now on, if some were read.

        Raises:
            Transient, SessionLost: nothing was published.

        """
        offset = self.command_offset if command_offset is None else command_offset
        self.producer.commit(records, {self.place: offset}, consumer.group_metadata())
        self.command_offset = offset


class Leases:
    """All that is held now."""

    def __init__(
        self,
        domains: Sequence[str],
        states: StateTopic,
        margins: Margins,
        *,
        make_producer: MakeProducer,
        make_task: Callable[[LoopState], LoopTask],
        make_schedule: Callable[[Schedule], ScheduleTask],
    ) -> None:
        """``make_producer``: opens the producer of a partition's number. The others make the task of a state."""
        self._domains, self._states, self._margins = domains, states, margins
        self._make_producer, self._make_task, self._make_schedule = make_producer, make_task, make_schedule
        self._held: dict[Partition, Lease] = {}

    @property
    def all(self) -> list[Lease]:
        """Every lease."""
        return list(self._held.values())

    @property
    def loops(self) -> list[LoopTask]:
        """The polling loops that are run here."""
        return [task for lease in self._held.values() for task in lease.loops]

    @property
    def tasks(self) -> list[Task]:
        """The loops and the slices of schedules that are run here."""
        return [task for lease in self._held.values() for task in lease.tasks]

    def at(self, place: Partition) -> Lease | None:
        """The lease of a partition; None if it is not held."""
        return self._held.get(place)

    def find(self, ticket: Ticket) -> tuple[Lease, Task] | None:
        """Whose answer this is; None if its run has been given up."""
        for lease in self._held.values():
            for task in lease.tasks:
                if task.ticket == ticket:
                    return lease, task
        return None

    def latest_through(self, domain: str, loops: Sequence[Loop]) -> tuple[int | None, ...]:
        """What these loops of a domain have fetched through."""
        through = {task.state.loop: task.state.fetched_through for task in self.loops if task.state.domain == domain}
        return tuple(through.get(loop) for loop in loops)

    def take(self, places: Sequence[Partition], partitions: int, consumer: GroupConsumer, now: int) -> None:
        """Take partitions over that were assigned. Blocks for the coordinators and the state topic.

        ``partitions``: of the commands topic. ``now``: microseconds; loops that never ran begin relative to it, and
        are written down at once, so that a crash before their first page does not move their begin.

        Raises:
            Transient, SessionLost: not taken; try again.

        """
        self.drop(places)
        taken: dict[Partition, Lease] = {}
        try:
            # The producers first: they end the transactions of former owners, which committed offsets wait for.
            for place in places:
                mine = [name for name in self._domains if partition_of(name.encode(), partitions) == place[1]]
                taken[place] = Lease(place, self._make_producer(place[1]), mine)
            for place, offset in consumer.committed(places).items():
                taken[place].command_offset = offset
            states = self._states.read(self._domains)
            for place, lease in taken.items():
                schedules = [
                    each for each in states.schedules if partition_of(each.domain.encode(), partitions) == place[1]
                ]
                lease.backlog = Backlog(schedules, make_task=self._make_schedule)
                self._fill(lease, states, consumer, now)
        except BaseException:
            for lease in taken.values():
                lease.producer.close()
            raise
        self._held.update(taken)

    def _fill(self, lease: Lease, states: States, consumer: GroupConsumer, now: int) -> None:
        first = [
            LoopState(domain, loop, Cursor(first_begin(loop, now, self._margins)))
            for domain in lease.domains
            for loop in POLLING
            if (domain, loop) not in states.loops
        ]
        if first:
            lease.publish([self._states.record(state, now) for state in first], consumer)
        known = [state for (domain, _), state in states.loops.items() if domain in lease.domains]
        lease.loops = [self._make_task(state) for state in (*known, *first)]

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
