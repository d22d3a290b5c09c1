"""The fetcher as a process: holds loops, sends their requests, publishes page and cursor together."""

from __future__ import annotations

from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.registry import RegistryUnavailable
from services.fetcher.adapters.mailgun_events import MailgunEvents
from services.fetcher.adapters.raw_topic import RawTopic
from services.fetcher.adapters.state_topic import StateTopic
from services.fetcher.core.loop import LoopState
from services.fetcher.core.pace import Pace
from services.fetcher.core.window import LATEST, POLLING, target_lag, window_end
from services.fetcher.dispatcher import Dispatcher
from services.fetcher.leases import Lease, Leases
from services.fetcher.metrics import FetcherMetrics, LoopCollector
from services.fetcher.ports import Answer, SourceError, Throttled, Unavailable
from services.fetcher.recent import EventKey, RecentlyPublished, key_of
from services.fetcher.settings import FetcherSettings
from services.fetcher.task import LoopTask, Ticket, Turned
from services.runtime import logs
from services.runtime.backoff import Backoff
from services.runtime.bus.api import Outgoing, Partition
from services.runtime.bus.compacted import CompactedTopic
from services.runtime.bus.config import KafkaConfig
from services.runtime.bus.consumer import GroupConsumer
from services.runtime.bus.metadata import admin_client, partitions_of
from services.runtime.bus.producer import TransactionalProducer
from services.runtime.clock import micros
from services.runtime.errors import SessionLost, Transient
from services.runtime.lifecycle import Chassis

WORKER = "loops"
DEPENDENCIES = ("kafka", "mailgun")
_STEP_SECONDS = 0.2
_RECENT_EVENTS = 100_000
_log = logs.get("fetcher")

Work = tuple[Lease, LoopTask, Turned]


class FetcherApp:
    """One bounded step: serve the group, start the runs that are due, take the answers, publish."""

    def __init__(self, settings: FetcherSettings, codec: Codec, chassis: Chassis) -> None:
        self._settings, self._codec, self._chassis = settings, codec, chassis
        self._clock, self._health = chassis.clock, chassis.health
        self._kafka = KafkaConfig.of(settings)
        self._margins = settings.margins()
        self._prefix = settings.topic_prefix
        self._commands_topic = topics.prefixed(self._prefix, topics.FETCH_COMMANDS)
        self._states = StateTopic(
            CompactedTopic(
                self._kafka,
                topics.prefixed(self._prefix, topics.FETCH_STATE),
                clock=self._clock,
                on_error=self._client_error,
            ),
            codec,
            self._prefix,
        )
        self._raw = RawTopic(codec, self._prefix)
        self._leases = Leases(
            settings.mailgun_domains,
            self._states,
            self._margins,
            make_producer=self._producer,
            make_task=self._task,
        )
        self._pace = Pace(settings.fetch_requests_per_second)
        self._dispatcher: Dispatcher[Ticket] = Dispatcher(
            MailgunEvents(
                settings.mailgun_base_url,
                settings.mailgun_api_key.get_secret_value(),
                tag=settings.mailgun_tag,
                page_size=settings.fetch_page_size,
                now=self._clock.now,
                monotonic=self._clock.monotonic,
                connections=settings.fetch_concurrency,
            ),
            concurrency=settings.fetch_concurrency,
            pace=self._pace,
            clock=self._clock,
        )
        self._metrics = FetcherMetrics(chassis.registry, settings.mailgun_domains)
        interval = round(settings.fetch_interval_seconds * 1_000_000)
        self._collector = LoopCollector(
            self._clock, {loop: target_lag(loop, self._margins, interval) / 1e6 for loop in POLLING}
        )
        chassis.registry.register(self._collector)
        self._recent = RecentlyPublished(_RECENT_EVENTS)
        self._account = Backoff(first=1.0, most=60.0, random=chassis.random)
        self._session = Backoff(first=0.5, most=30.0, random=chassis.random)
        self._consumer: GroupConsumer | None = None
        self._assigned: set[Partition] = set()
        self._revoked: set[Partition] = set()
        self._group_changed = False
        self._partitions = 0
        self._again_at = 0.0

    def step(self) -> None:
        """Do what is due, or wait for a fifth of a second. Raises only what no waiting mends."""
        self._health.stepped(WORKER)
        if (wait := self._again_at - self._clock.monotonic()) > 0:
            self._chassis.stop.wait(min(wait, _STEP_SECONDS))
            return
        try:
            consumer = self._consumer or self._open()
            self._serve_group(consumer)
            self._health.stepped(WORKER)  # Taking loops over may have taken most of a minute.
            self._start_due()
            self._take(consumer, self._dispatcher.answers(_STEP_SECONDS))
            self._collector.update([task.state for task in self._leases.tasks])
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

    def _open(self) -> GroupConsumer:
        self._partitions = len(partitions_of(admin_client(self._kafka), self._commands_topic))
        self._consumer = GroupConsumer(
            self._kafka,
            f"{self._prefix}fetcher",
            [self._commands_topic],
            on_error=self._client_error,
            on_assigned=self._on_assigned,
            on_revoked=self._on_revoked,
        )
        return self._consumer

    def _close_session(self) -> None:
        self._dispatcher.withdraw(self._leases.drop_all())
        self._assigned.clear()
        self._revoked.clear()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
        self._collector.update([])

    def _client_error(self, name: str, text: str) -> None:
        self._health.fails("kafka", f"{name}: {text}")

    def _on_assigned(self, places: list[Partition]) -> None:
        self._assigned.update(places)
        self._group_changed = True
        self._health.started(WORKER)

    def _on_revoked(self, places: list[Partition]) -> None:
        self._assigned.difference_update(places)
        self._revoked.update(places)
        self._group_changed = True

    def _serve_group(self, consumer: GroupConsumer) -> None:
        """Keep the membership, and follow what the group gives and takes."""
        consumer.poll(1, 0.0, most_bytes=1, linger=0.0)
        if self._revoked:
            self._dispatcher.withdraw(self._leases.drop(list(self._revoked)))
            self._revoked.clear()
        if self._assigned:
            consumer.pause(self._assigned)
            self._leases.take(sorted(self._assigned), self._partitions, consumer, micros(self._clock))
            self._assigned.clear()
            self._session.succeeded()
            self._health.works("kafka")
            _log.info("loops_taken", domains=sorted({task.state.domain for task in self._leases.tasks}))
        if self._group_changed:
            # Also where the group gives nothing: a fetcher in reserve is well.
            self._group_changed = False
            for dependency in DEPENDENCIES:
                self._health.rests(dependency, not self._leases.tasks)

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

    def _start_due(self) -> None:
        monotonic, now = self._clock.monotonic(), micros(self._clock)
        if self._pace.cooldown(monotonic) > 0:
            return  # They would only wait, and say that they run.
        for task in self._leases.tasks:
            if not task.is_due(monotonic):
                continue
            state = task.state
            through = self._leases.latest_through(state.domain, LATEST)
            end = window_end(state.loop, now, self._margins, through)
            request = None if end is None else task.begin(end, now, monotonic)
            if request is not None and task.ticket is not None:
                self._dispatcher.ask(task.ticket, request, urgent=task.is_urgent)

    def _take(self, consumer: GroupConsumer, answers: list[tuple[Ticket, Answer | SourceError]]) -> None:
        """Sort the answers, ask for the pages after, and publish what came: a transaction for each lease."""
        work: list[Work] = []
        troubled: list[tuple[Lease, LoopTask]] = []
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
                self._publish(consumer, lease, mine, [task for holder, task in troubled if holder is lease])
            except Transient:
                self._abandon([task for _, task, turned in work])
                raise
            work = [entry for entry in work if entry[0] is not lease]

    def _abandon(self, tasks: list[LoopTask]) -> None:
        """What these runs have read is not in Kafka: they start again from their cursors."""
        self._dispatcher.withdraw({task.ticket for task in tasks if task.ticket is not None})
        for task in tasks:
            task.abandon()

    def _page(self, task: LoopTask, answer: Answer, together: set[EventKey]) -> Turned:
        """What a page leads to. ``together``: what is published with it, added to here; a domain has one lease."""
        self._metrics.requests["ok"].inc()
        self._health.works("mailgun")
        self._account.succeeded()
        if answer.wait_seconds is not None:
            self._cool(answer.wait_seconds)
        if answer.page.replaced:
            self._metrics.replaced.inc()
        domain = task.state.domain
        turned = task.turn(
            answer.page,
            micros(self._clock),
            lambda item: self._recent.holds(domain, item) or key_of(domain, item) in together,
        )
        together.update(key_of(domain, item) for item in turned.items)
        request = task.ahead(turned)
        if request is not None and task.ticket is not None:
            self._dispatcher.ask(task.ticket, request, urgent=task.is_urgent)
        return turned

    def _source_failed(self, ticket: Ticket, error: SourceError, found: tuple[Lease, LoopTask] | None) -> None:
        self._metrics.requests[error.code].inc()
        self._health.fails("mailgun", str(error))
        pause = found[1].failed(error, self._clock.monotonic()) if found else 0.0
        if isinstance(error, (Throttled, Unavailable)):
            self._back_off(error.retry_after)
        if found:
            self._metrics.runs[ticket.domain, ticket.loop, "failed"].inc()
        _log.warning(
            "loop_failed",
            domain=ticket.domain,
            loop=ticket.loop.value,
            error=str(error),
            again_seconds=round(max(pause, self._pace.cooldown(self._clock.monotonic())), 1),
        )

    def _back_off(self, told: float | None) -> None:
        """The account waits, longer each time; requests that fail together are one failure."""
        if self._pace.cooldown(self._clock.monotonic()) > 0:
            self._cool(told or 0.0)
        else:
            self._cool(self._account.failed(told))

    def _cool(self, seconds: float) -> None:
        self._metrics.throttled_seconds.inc(self._pace.cool(self._clock.monotonic(), seconds))

    def _publish(
        self, consumer: GroupConsumer, lease: Lease, work: list[tuple[LoopTask, Turned]], troubled: list[LoopTask]
    ) -> None:
        now, began = micros(self._clock), self._clock.monotonic()
        records: list[Outgoing] = []
        dead: list[int] = []
        for task, turned in work:
            raw = self._raw.records(task.state.domain, task.state.loop, turned.items, now)
            dead.append(self._raw.dead_among(raw))
            records += [*raw, self._states.record(turned.state, now)]
        records += [self._states.record(task.state, now) for task in troubled]
        lease.publish(records, consumer)
        self._session.succeeded()
        self._health.works("kafka")
        self._metrics.publish_seconds.observe(self._clock.monotonic() - began)
        for (task, turned), dead_items in zip(work, dead, strict=True):
            self._published(task, turned, dead_items)

    def _published(self, task: LoopTask, turned: Turned, dead: int) -> None:
        task.published(turned, self._clock.monotonic())
        state = turned.state
        self._recent.add(state.domain, turned.items)
        self._metrics.pages[state.loop].inc()
        self._metrics.events[state.domain, state.loop, "published"].inc(len(turned.items) - dead)
        self._metrics.events[state.domain, state.loop, "dead"].inc(dead)
        self._metrics.events[state.domain, state.loop, "known"].inc(turned.known)
        if turned.result != "turned":
            self._metrics.runs[state.domain, state.loop, turned.result].inc()

    def _trouble(self, error: Transient) -> None:
        pause = self._session.failed(error.retry_after)
        self._again_at = self._clock.monotonic() + pause
        self._health.fails("kafka", str(error))
        _log.warning("backing_off", error=str(error), again_seconds=round(pause, 1))


def build(settings: FetcherSettings, codec: Codec, chassis: Chassis) -> FetcherApp:
    """The fetcher, ready to be stepped."""
    return FetcherApp(settings, codec, chassis)
