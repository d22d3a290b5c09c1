"""The loops and schedules as the two topics of the fetcher say, followed in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread

from services.console.core.board import Board, Changes, Page, Position
from services.console.core.schedules import Schedule
from services.contracts import topics
from services.contracts.codec import Codec, NotAvro
from services.contracts.events import CancelFetch, FetchState, ScheduleFetch
from services.contracts.registry import RegistryUnavailable, UnknownSchema
from services.runtime import logs
from services.runtime.backoff import Backoff
from services.runtime.bus.api import Record
from services.runtime.bus.follower import Follower
from services.runtime.clock import Clock, Deadline, micros
from services.runtime.errors import Fatal, Transient
from services.runtime.health import Health

WORKER = "states"
_POLL_SECONDS = 0.2
_PROOF_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_log = logs.get("console")


class FetchTopics:
    """What is known of all loops and schedules. Reads may come from any thread.

    While Kafka is away it keeps what it knew, and says since when it knows nothing newer.
    """

    def __init__(
        self,
        follower: Callable[[Callable[[str, str], None]], Follower],
        codec: Codec,
        prefix: str,
        *,
        health: Health,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """``follower``: makes the reader of both topics, given a hook for its errors. ``prefix``: of the topics."""
        self._codec, self._health, self._clock = codec, health, clock
        self._state_topic = topics.prefixed(prefix, topics.FETCH_STATE)
        self._follower = follower(self._client_error)
        self._backoff = Backoff(first=0.5, most=15.0, random=random)
        self._news = Condition()
        self._board = Board()
        self._proved_at: float | None = None
        self._known_at: float | None = None
        self._ends = False
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to follow, in a thread."""
        self._thread = Thread(target=self._run, name="fetch-topics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following. Blocks for some seconds at most."""
        with self._news:
            self._ends = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    @property
    def known_at(self) -> float | None:
        """When Kafka last proved that nothing newer is hidden (seconds since 1970); None: never yet."""
        with self._news:
            return self._known_at

    @property
    def version(self) -> int:
        """Grows with each change."""
        with self._news:
            return self._board.version

    def page(self, after: Position, limit: int) -> Page:
        """Up to ``limit`` loops and as many schedules after a position."""
        with self._news:
            return self._board.page(after, limit, micros(self._clock))

    def changes(self, since: int) -> Changes:
        """What has changed after a version."""
        with self._news:
            return self._board.changes(since, micros(self._clock))

    def find(self, schedule_id: str) -> Schedule | None:
        """A schedule by its id."""
        with self._news:
            return self._board.find(schedule_id)

    def note(self, command: ScheduleFetch | CancelFetch) -> None:
        """A command that Kafka has just taken from us: shown at once, before it is read back."""
        with self._news:
            self._board.take(command)

    def wait_caught_up(self, timeout: float) -> bool:
        """Wait until all that was in the topics has been read; False if it takes longer than ``timeout`` seconds."""
        with self._news:
            return self._news.wait_for(lambda: self._known_at is not None, timeout)

    def wait_changed(self, since: int, timeout: float) -> bool:
        """Wait until there is something newer than a version; False after ``timeout`` seconds."""
        with self._news:
            return self._news.wait_for(lambda: self._board.version > since, timeout)

    def _client_error(self, name: str, text: str) -> None:
        self._health.fails("kafka", f"{name}: {text}")

    def _run(self) -> None:
        while not self._ends:
            self._health.stepped(WORKER)
            try:
                self._step()
            except (Transient, RegistryUnavailable, Fatal) as error:
                self._trouble(str(error))
        self._follower.close()

    def _trouble(self, error: str) -> None:
        """Go on from where it was after a pause, with a new consumer; what is known stays."""
        self._follower.close()
        pause = self._backoff.failed()
        self._health.fails("kafka", error)
        _log.warning("backing_off", error=error, again_seconds=round(pause, 1))
        deadline = Deadline(self._clock, pause)
        with self._news:
            self._news.wait_for(lambda: self._ends, deadline.remaining())

    def _step(self) -> None:
        if not self._follower.is_open:
            self._follower.open()
        records = self._follower.poll(_POLL_SECONDS)
        if records:
            self._take(records)
        now = self._clock.monotonic()
        if self._follower.caught_up and (self._proved_at is None or now - self._proved_at > _PROOF_SECONDS):
            self._prove(now)

    def _prove(self, now: float) -> None:
        self._follower.prove()
        self._proved_at = now
        self._backoff.succeeded()
        self._health.works("kafka")
        self._health.started(WORKER)
        with self._news:
            self._known_at = self._clock.now()
            self._news.notify_all()

    def _take(self, records: list[Record]) -> None:
        decoded = [(record, self._decoded(record)) for record in records]  # takes its time: not under the lock
        with self._news:
            for record, message in decoded:
                if message is not None:
                    self._board.take(message)
                elif record.value is None and record.topic == self._state_topic and record.key is not None:
                    domain, _, name = record.key.decode("utf-8", "replace").partition("/")  # an id may hold a slash
                    self._board.remove(domain, name)
            self._news.notify_all()
        self._follower.passed(records)

    def _decoded(self, record: Record) -> FetchState | ScheduleFetch | CancelFetch | None:
        if record.value is None:
            return None
        try:
            message = self._codec.decode(record.value)
        except (NotAvro, UnknownSchema) as error:
            _log.warning(
                "record_skipped", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error)
            )
            return None
        return message if isinstance(message, (FetchState, ScheduleFetch, CancelFetch)) else None


def fetch_topics_of(prefix: str) -> tuple[str, ...]:
    """The topics that tell of loops and schedules, with their prefix."""
    return topics.prefixed(prefix, topics.FETCH_STATE), topics.prefixed(prefix, topics.FETCH_COMMANDS)
