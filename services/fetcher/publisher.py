"""Publishes pages and the states that go with them, in one transaction of a lease."""

from __future__ import annotations

from collections.abc import Sequence

from services.fetcher.adapters.raw_topic import RawTopic
from services.fetcher.adapters.state_topic import StateTopic
from services.fetcher.leases import Lease, Task
from services.fetcher.metrics import FetcherMetrics
from services.fetcher.recent import RecentlyPublished
from services.fetcher.task import Turned
from services.runtime.bus.api import Outgoing
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.clock import Clock, micros

Work = tuple[Lease, Task, Turned]


class Publisher:
    """What goes to Kafka, and what is noted once it is there."""

    def __init__(
        self, raw: RawTopic, states: StateTopic, recent: RecentlyPublished, metrics: FetcherMetrics, clock: Clock
    ) -> None:
        self._raw, self._states, self._recent, self._metrics, self._clock = raw, states, recent, metrics, clock

    def publish(
        self, consumer: GroupConsumer, lease: Lease, work: Sequence[tuple[Task, Turned]], troubled: Sequence[Task]
    ) -> None:
        """Publish pages of a lease, and the states of what came to trouble. Blocks.

        Several slices of a schedule have one state: the last one of it holds them all.

        Raises:
            Transient, SessionLost: nothing was published.

        """
        now, began = micros(self._clock), self._clock.monotonic()
        records: list[Outgoing] = []
        dead: list[int] = []
        for task, turned in work:
            raw = self._raw.records(task.state.domain, task.state.loop, turned.items, now)
            dead.append(self._raw.dead_among(raw))
            records += raw
        states = {turned.state.key: turned.state for _, turned in work}
        states |= {task.state.key: task.state for task in troubled}
        lease.publish([*records, *(self._states.record(state, now) for state in states.values())], consumer)
        self._metrics.publish_seconds.observe(self._clock.monotonic() - began)
        for (task, turned), dead_items in zip(work, dead, strict=True):
            self._published(task, turned, dead_items)

    def _published(self, task: Task, turned: Turned, dead: int) -> None:
        task.published(turned, self._clock.monotonic())
        state = turned.state
        self._recent.add(state.domain, turned.items)
        self._metrics.pages[state.loop].inc()
        self._metrics.events[state.domain, state.loop, "published"].inc(len(turned.items) - dead)
        self._metrics.events[state.domain, state.loop, "dead"].inc(dead)
        self._metrics.events[state.domain, state.loop, "known"].inc(turned.known)
        if turned.result != "turned":
            self._metrics.runs[state.domain, state.loop, turned.result].inc()
