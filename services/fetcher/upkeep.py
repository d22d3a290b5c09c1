"""What the fetcher does for its schedules by itself: it orders the daily sweep, and forgets what ended long ago."""

from __future__ import annotations

from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from services.fetcher.adapters.state_topic import StateTopic
from services.fetcher.core.schedule import Schedule, Sweep, swept
from services.fetcher.leases import Lease
from services.runtime import logs
from services.runtime.bus.consumer import GroupConsumer

_EVERY_SECONDS = 60.0
_log = logs.get("fetcher")


class Upkeep:
    """Looks after the schedules of the leases, once a minute and whenever a lease is new."""

    def __init__(self, states: StateTopic, sweep: Sweep) -> None:
        self._states, self._sweep = states, sweep
        self._due: WeakKeyDictionary[Lease, float] = WeakKeyDictionary()

    def look_after(self, lease: Lease, consumer: GroupConsumer, now: int, monotonic: float) -> None:
        """Write down the sweeps of this UTC day, and remove what is to be forgotten. Blocks if there is something.

        Raises:
            Transient, SessionLost: nothing was written; it is done the next time.

        """
        if monotonic < self._due.get(lease, 0.0):
            return
        sweeps = self._missing_sweeps(lease, now)
        forgotten = lease.backlog.forgotten(now)
        if sweeps or forgotten:
            records = [self._states.record(state, now) for state in sweeps]
            lease.publish([*records, *map(self._states.tombstone, forgotten)], consumer)
        for state in sweeps:
            lease.backlog.put(state)
            _log.info("schedule_queued", domain=state.domain, schedule=state.schedule_id)
        lease.backlog.forget(forgotten)
        self._due[lease] = monotonic + _EVERY_SECONDS

    def _missing_sweeps(self, lease: Lease, now: int) -> list[Schedule]:
        date = datetime.fromtimestamp(now / 1e6, UTC).date().isoformat()
        wanted = (swept(domain, date, now, self._sweep) for domain in lease.domains)
        return [state for state in wanted if state is not None and lease.backlog.get(state.key) is None]
