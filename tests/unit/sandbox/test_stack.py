"""Services that die are started again, unless that does not help."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.sandbox.stack import MOST_QUICK_ENDS, QUICK_SECONDS, Service
from tests.support.clock import HeldClock
from tests.support.waiting import wait_until


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def service(tmp_path: Path, clock: HeldClock) -> Iterator[Service]:
    """One that ends at once, since it is told of no database."""
    service = Service("storage", 0, dict(os.environ), tmp_path / "storage.log", clock=clock)
    service.start()
    yield service
    service.kill()


def has_ended(service: Service) -> bool:
    return not service.running


def ended(service: Service) -> None:
    wait_until(partial(has_ended, service), seconds=30, what="the service has ended")


def test_one_that_ends_at_once_again_and_again_is_given_up(service: Service) -> None:
    """With what it said last, which is why."""
    for _ in range(MOST_QUICK_ENDS - 1):
        ended(service)
        assert service.revive()
    ended(service)
    with pytest.raises(Fatal, match=r"(?s)storage ended 3 times in a row within 10 s of its start; .*DATABASE_URL"):
        service.revive()
    assert not service.running


def test_one_that_lived_for_a_while_is_started_again_for_ever(service: Service, clock: HeldClock) -> None:
    """Quick ends count in a row: whatever kills a service now and then never ends the others."""
    for _ in range(MOST_QUICK_ENDS - 1):
        ended(service)
        assert service.revive()
    ended(service)
    clock.move(QUICK_SECONDS)
    assert service.revive()
    for _ in range(MOST_QUICK_ENDS - 1):
        ended(service)
        assert service.revive()
