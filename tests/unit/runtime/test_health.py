"""Who is alive, who has started, who is ready."""

from __future__ import annotations

import pytest

from services.runtime.health import ASKING_SECONDS, LIVENESS_SECONDS, USE_SECONDS, Health
from tests.support.clock import HeldClock


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def health(clock: HeldClock) -> Health:
    return Health(clock, dependencies=("kafka", "database"), workers=("consumer",))


@pytest.fixture
def ready(health: Health) -> Health:
    """All is well."""
    health.started("consumer")
    health.works("kafka")
    health.works("database")
    assert health.ready() == {}
    return health


def test_a_new_process_is_alive_and_neither_started_nor_ready(health: Health) -> None:
    """And says why for each part."""
    assert health.live() == {}
    assert health.startup() == {"consumer": "has not started"}
    assert set(health.ready()) == {"consumer", "kafka", "database"}
    assert not health.is_up("kafka")


def test_a_worker_that_does_not_step_is_dead_and_not_ready(ready: Health, clock: HeldClock) -> None:
    """Until it steps again."""
    clock.move(LIVENESS_SECONDS)
    assert ready.live() == {}
    clock.move(1.0)
    assert ready.live() == {"consumer": "no step for 61 s"}
    assert ready.ready()["consumer"] == "no step for 61 s"
    ready.stepped("consumer")
    assert ready.live() == {}


def test_liveness_asks_no_dependency(ready: Health) -> None:
    """An outage restarts nothing, and what has started stays started."""
    ready.fails("kafka", "away")
    ready.fails("database", "away")
    assert ready.live() == {}
    assert ready.startup() == {}
    assert ready.ready() == {"kafka": "away", "database": "away"}


def test_a_dependency_is_ready_again_by_its_next_success(ready: Health, clock: HeldClock) -> None:
    """The last use counts."""
    ready.fails("kafka", "away")
    assert not ready.is_up("kafka")
    clock.move(1.0)
    ready.works("kafka")
    assert ready.is_up("kafka")
    assert ready.ready() == {}


def test_a_success_that_is_long_ago_does_not_count(ready: Health, clock: HeldClock) -> None:
    """Nobody knows how it is now."""
    clock.move(USE_SECONDS + 1)
    ready.stepped("consumer")
    ready.works("kafka")
    assert ready.ready() == {"database": "not used with success in the last 60 s"}


def test_a_dependency_that_rests_is_fine(ready: Health, clock: HeldClock) -> None:
    """With nothing to do the database is not asked; when it is needed again, it counts again."""
    ready.rests("database", True)
    clock.move(600.0)
    ready.stepped("consumer")
    ready.works("kafka")
    assert ready.ready() == {}
    ready.rests("database", False)
    assert set(ready.ready()) == {"database"}


def test_the_time_of_the_last_use_can_be_longer(clock: HeldClock) -> None:
    """A fetcher with a long interval is not unready between its runs."""
    health = Health(clock, dependencies=("mailgun",), workers=(), within=900.0)
    health.works("mailgun")
    clock.move(899.0)
    assert health.ready() == {}
    clock.move(2.0)
    assert set(health.ready()) == {"mailgun"}


def test_a_process_that_was_told_to_stop_is_not_ready_and_alive(ready: Health) -> None:
    """It finishes what it is at."""
    ready.drain()
    assert ready.ready() == {"shutdown": "draining"}
    assert ready.live() == {}
    assert ready.startup() == {}


def test_a_long_error_is_cut(ready: Health) -> None:
    """It stands in the body of a probe."""
    ready.fails("kafka", "x" * 5000)
    assert len(ready.ready()["kafka"]) == 300


def test_setting_the_machines_clock_kills_nobody(ready: Health, clock: HeldClock) -> None:
    """Ages are of the monotonic clock."""
    clock.set_wall(clock.now() + 86_400)
    assert ready.live() == {}
    assert ready.ready() == {}


def test_a_worker_that_waits_for_a_frozen_dependency_is_alive_but_not_ready(ready: Health, clock: HeldClock) -> None:
    """A restart would mend nothing; half an hour without an answer is too long all the same."""
    with ready.asks("consumer", "database"):
        clock.move(LIVENESS_SECONDS + 60)
        assert ready.live() == {}
        assert ready.ready()["database"] == "no answer for 120 s"
        clock.move(ASKING_SECONDS)
        assert set(ready.live()) == {"consumer"}
    assert ready.live() == {}
    clock.move(LIVENESS_SECONDS + 1)
    assert set(ready.live()) == {"consumer"}, "outside the call the usual bound counts"
