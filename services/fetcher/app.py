"""The fetcher as a process: holds loops and schedules, sends their requests, publishes page and cursor together."""

from __future__ import annotations

from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.partitioning import partition_of
from services.contracts.registry import RegistryUnavailable
from services.fetcher.account import MAILGUN, Account
from services.fetcher.adapters.mailgun_events import MailgunEvents
from services.fetcher.adapters.raw_topic import RawTopic
from services.fetcher.adapters.state_topic import StateTopic
from services.fetcher.backfill import Asked, ScheduleTask
from services.fetcher.commands import CommandReader
from services.fetcher.core.loop import LoopState
from services.fetcher.core.pace import Pace
from services.fetcher.core.retention import is_clipped
from services.fetcher.core.schedule import Schedule
from services.fetcher.core.window import LATEST, POLLING, target_lag, window_end
from services.fetcher.dispatcher import Dispatcher
from services.fetcher.leases import Lease, Leases, Task
from services.fetcher.membership import Membership
from services.fetcher.metrics import FetcherMetrics, LoopCollector
from services.fetcher.ports import Answer, SourceError
from services.fetcher.publisher import Publisher, Work
from services.fetcher.recent import EventKey, RecentlyPublished, key_of
from services.fetcher.settings import FetcherSettings
from services.fetcher.task import LoopTask, Ticket, Turned
from services.fetcher.upkeep import Upkeep
from services.runtime import logs
from services.runtime.backoff import Backoff
from services.runtime.bus.api import Record
from services.runtime.bus.compacted import CompactedTopic
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.producer import TransactionalProducer
from services.runtime.clock import micros
from services.runtime.errors import SessionLost, Transient
from services.runtime.lifecycle import Chassis

WORKER = "loops"
DEPENDENCIES = ("kafka", MAILGUN)
_STEP_SECONDS = 0.2
_RECENT_EVENTS = 100_000
_log = logs.get("fetcher")


class FetcherApp:
    """One bounded step: serve the group, take the commands, start what is due, take the answers, publish."""

    def __init__(self, settings: FetcherSettings, codec: Codec, chassis: Chassis) -> None:
        self._settings, self._codec, self._chassis = settings, codec, chassis
        self._clock, self._health = chassis.clock, chassis.health
        self._kafka = KafkaConfig.of(settings)
        self._margins, self._bounds = settings.margins(), settings.bounds()
        self._prefix = settings.topic_prefix
        self._membership = Membership(
            self._kafka,
            topics.prefixed(self._prefix, topics.FETCH_COMMANDS),
            f"{self._prefix}fetcher",
            on_error=self._client_error,
            on_joined=lambda: self._health.started(WORKER),
        )
        self._states = self._state_topic()
        self._leases = Leases(
            settings.mailgun_domains,
            self._states,
            self._margins,
            make_producer=self._producer,
            make_task=self._task,
            make_schedule=self._schedule_task,
        )
        self._commands = CommandReader(
            codec, settings.mailgun_domains, lambda domain: partition_of(domain.encode(), self._membership.partitions)
        )
        self._upkeep = Upkeep(self._states, settings.sweep())
        pace = Pace(settings.fetch_requests_per_second)
        self._dispatcher: Dispatcher[Ticket] = Dispatcher(
            self._source(), concurrency=settings.fetch_concurrency, pace=pace, clock=self._clock
        )
        self._metrics = FetcherMetrics(chassis.registry, settings.mailgun_domains)
        backoff = Backoff(first=1.0, most=60.0, random=chassis.random)
        self._account = Account(pace, backoff, metrics=self._metrics, health=self._health, clock=self._clock)
        interval = round(settings.fetch_interval_seconds * 1_000_000)
        self._collector = LoopCollector(
            self._clock, {loop: target_lag(loop, self._margins, interval) / 1e6 for loop in POLLING}
        )
        chassis.registry.register(self._collector)
        self._recent = RecentlyPublished(_RECENT_EVENTS)
        self._publisher = Publisher(
            RawTopic(codec, self._prefix), self._states, self._recent, self._metrics, self._clock
        )
        self._session = Backoff(first=0.5, most=30.0, random=chassis.random)
        self._again_at = 0.0

    def _state_topic(self) -> StateTopic:
        name = topics.prefixed(self._prefix, topics.FETCH_STATE)
        reader = CompactedTopic(self._kafka, name, clock=self._clock, on_error=self._client_error)
        return StateTopic(reader, self._codec, self._prefix)

    def _source(self) -> MailgunEvents:
        settings = self._settings
        return MailgunEvents(
            settings.mailgun_base_url,
            settings.mailgun_api_key.get_secret_value(),
            tag=settings.mailgun_tag,
            page_size=settings.fetch_page_size,
            now=self._clock.now,
            monotonic=self._clock.monotonic,
            connections=settings.fetch_concurrency,
        )

    def step(self) -> None:
        """Do what is due, or wait for a fifth of a second. Raises only what no waiting mends."""
        self._health.stepped(WORKER)
        if (wait := self._again_at - self._clock.monotonic()) > 0:
            self._chassis.stop.wait(min(wait, _STEP_SECONDS))
            return
        try:
            consumer = self._membership.consumer
            unread = self._polled()
            self._serve_group(consumer)
            self._health.stepped(WORKER)  # Taking loops over may have taken most of a minute.
            self._obey(consumer, unread)
            self._start_due(consumer)
            self._take(consumer, self._dispatcher.answers(_STEP_SECONDS))
            self._show()
        except SessionLost as error:
            self._trouble(error)
            self._close_session()
        except RegistryUnavailable as error:
            self._abandon(self._leases.tasks)
            self._trouble(Transient(f"schema registry: {error}"))
        except Transient as error:
            self._trouble(error)

    def close(self) -> None:
        """Leave the group. Pages that are under way are fetched again after the next start."""
        self._dispatcher.close()
        self._close_session()

    def _close_session(self) -> None:
        self._dispatcher.withdraw(self._leases.drop_all())
        self._membership.leave()
        self._show()

    def _show(self) -> None:
        schedules = [state for lease in self._leases.all for state in lease.backlog.schedules]
        self._collector.update([task.state for task in self._leases.loops], schedules)

    def _client_error(self, name: str, text: str) -> None:
        self._health.fails("kafka", f"{name}: {text}")

    def _serve_group(self, consumer: GroupConsumer) -> None:
        """Follow what the group gives and takes."""
        group = self._membership
        if group.revoked:
            self._dispatcher.withdraw(self._leases.drop(list(group.revoked)))
            group.revoked.clear()
        if group.assigned:
            self._leases.take(sorted(group.assigned), group.partitions, consumer, micros(self._clock))
            group.assigned.clear()
            self._session.succeeded()
            self._health.works("kafka")
            _log.info("loops_taken", domains=sorted({task.state.domain for task in self._leases.loops}))
        if group.has_changed:
            # Also where the group gives nothing: a fetcher in reserve is well.
            group.has_changed = False
            for dependency in DEPENDENCIES:
                self._health.rests(dependency, not self._leases.loops)

    def _producer(self, number: int) -> TransactionalProducer:
        producer = TransactionalProducer(
            self._kafka, f"{self._prefix}fetcher-{number}", clock=self._clock, on_error=self._client_error
        )
        producer.open()
        return producer

    def _task(self, state: LoopState) -> LoopTask:
        return LoopTask(
            state,
            interval=self._settings.fetch_interval_seconds,
            random=self._chassis.random,
            max_events=self._settings.fetch_max_events,
        )

    def _polled(self) -> list[tuple[Lease, list[Record]]]:
        """The commands that have come for what is held. Whatever goes wrong in this step, they are read again."""
        unread = []
        for place, records in self._membership.poll().items():
            lease = self._leases.at(place)
            if lease is not None and lease.is_placed:
                lease.is_placed = False
                unread.append((lease, records))
        return unread

    def _obey(self, consumer: GroupConsumer, unread: list[tuple[Lease, list[Record]]]) -> None:
        """Take commands: the schedules that they change and the offset behind them are written together."""
        for lease, records in unread:
            if self._leases.at(lease.place) is lease:
                self._obey_in(consumer, lease, records)
        for lease in self._leases.all:
            if not lease.is_placed:
                self._membership.read_from(lease.place, lease.command_offset)
                lease.is_placed = True

    def _obey_in(self, consumer: GroupConsumer, lease: Lease, records: list[Record]) -> None:
        now = micros(self._clock)
        answers = self._commands.read(records, lease.backlog, now)
        # Each at its own instant: they keep their order after a restart.
        kept = [self._states.record(state, state.kept_at) for state in answers.schedules.values()]
        lease.publish(kept, consumer, records[-1].offset + 1)
        lease.is_placed = True
        for state in answers.schedules.values():
            self._dispatcher.withdraw(lease.backlog.put(state))
        for result in answers.results:
            self._metrics.commands[result].inc()

    def _start_due(self, consumer: GroupConsumer) -> None:
        monotonic, now = self._clock.monotonic(), micros(self._clock)
        for lease in self._leases.all:
            self._upkeep.look_after(lease, consumer, now, monotonic)
        if self._account.cooldown > 0:
            return  # They would only wait, and say that they run.
        for task in self._leases.loops:
            if task.is_due(monotonic):
                self._start_loop(task, now, monotonic)
        for lease in self._leases.all:
            for asked in lease.backlog.advance(lease.domains, now, monotonic):
                self._ask(asked, urgent=False)

    def _start_loop(self, task: LoopTask, now: int, monotonic: float) -> None:
        state = task.state
        through = self._leases.latest_through(state.domain, LATEST)
        end = window_end(state.loop, now, self._margins, through)
        request = None if end is None else task.begin(end, now, monotonic)
        if request is None or task.ticket is None:
            return
        self._ask((task.ticket, request), urgent=task.is_urgent)
        if is_clipped(state.cursor.begin, now, self._bounds.retention):
            self._clipped(state, state.cursor.begin, now)

    def _ask(self, asked: Asked, *, urgent: bool) -> None:
        ticket, request = asked
        self._dispatcher.ask(ticket, request, urgent=urgent)

    def _schedule_task(self, state: Schedule) -> ScheduleTask:
        now = micros(self._clock)
        begin = state.begin if state.fetched_through is None else state.fetched_through
        if is_clipped(begin, now, self._bounds.retention):
            self._clipped(state, begin, now)
        return ScheduleTask(state, self._bounds, random=self._chassis.random)

    def _clipped(self, state: LoopState | Schedule, begin: int, now: int) -> None:
        """Say that Mailgun has forgotten a part of what a run asks for: once a run."""
        self._metrics.clipped[state.domain, state.loop].inc()
        _log.warning(
            "begin_beyond_retention",
            domain=state.domain,
            loop=state.loop.value,
            seconds=round((now - self._bounds.retention - begin) / 1e6),
        )

    def _take(self, consumer: GroupConsumer, answers: list[tuple[Ticket, Answer | SourceError]]) -> None:
        """Sort the answers, ask for the pages after, and publish what came: a transaction for each lease."""
        work: list[Work] = []
        troubled: list[tuple[Lease, Task]] = []
        together: set[EventKey] = set()
        for ticket, answer in answers:
            found = self._leases.find(ticket)
            if isinstance(answer, SourceError):
                self._source_failed(ticket, answer, found)
                troubled += [found] if found else []
            elif found is not None:
                work.append((*found, self._page(found[1], answer, together)))
        leases = [work_lease for work_lease, _, _ in work] + [lease for lease, _ in troubled]
        for lease in dict.fromkeys(leases):
            mine = [(task, turned) for holder, task, turned in work if holder is lease]
            try:
                self._publisher.publish(consumer, lease, mine, [task for holder, task in troubled if holder is lease])
            except Transient:
                self._abandon([task for _, task, turned in work])
                raise
            self._session.succeeded()
            self._health.works("kafka")
            work = [entry for entry in work if entry[0] is not lease]

    def _abandon(self, tasks: list[Task]) -> None:
        """What these runs have read is not in Kafka: they start again from what is."""
        self._dispatcher.withdraw({ticket for task in tasks for ticket in task.abandon()})

    def _page(self, task: Task, answer: Answer, together: set[EventKey]) -> Turned:
        """What a page leads to. ``together``: what is published with it, added to here; a domain has one lease."""
        self._account.answered(answer)
        domain = task.state.domain
        turned = task.turn(
            answer.page,
            micros(self._clock),
            lambda item: self._recent.holds(domain, item) or key_of(domain, item) in together,
        )
        together.update(key_of(domain, item) for item in turned.items)
        request = task.ahead(turned)
        if request is not None and task.ticket is not None:
            self._ask((task.ticket, request), urgent=task.is_urgent)
        return turned

    def _source_failed(self, ticket: Ticket, error: SourceError, found: tuple[Lease, Task] | None) -> None:
        self._account.failed(error)
        if found is None:
            return
        task = found[1]
        under_way = task.tickets
        pause = task.failed(error, self._clock.monotonic())
        self._dispatcher.withdraw(under_way - task.tickets)
        self._metrics.runs[ticket.domain, ticket.loop, "failed"].inc()
        _log.warning(
            "loop_failed",
            domain=ticket.domain,
            loop=ticket.loop.value,
            error=str(error),
            again_seconds=round(max(pause, self._account.cooldown), 1),
        )

    def _trouble(self, error: Transient) -> None:
        pause = self._session.failed(error.retry_after)
        self._again_at = self._clock.monotonic() + pause
        self._health.fails("kafka", str(error))
        _log.warning("backing_off", error=str(error), again_seconds=round(pause, 1))


def build(settings: FetcherSettings, codec: Codec, chassis: Chassis) -> FetcherApp:
    """The fetcher, ready to be stepped."""
    return FetcherApp(settings, codec, chassis)
