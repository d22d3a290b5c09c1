"""What answers do to the account: counted, and followed by a wait of all loops where they ask for one."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from services.fetcher.account import MAILGUN, Account
from services.fetcher.core.pace import Pace
from services.fetcher.core.page import Page
from services.fetcher.metrics import FetcherMetrics
from services.fetcher.ports import Answer, Refused, SourceError, Throttled, Unavailable, Unreadable
from services.runtime.backoff import Backoff
from services.runtime.health import Health
from tests.support.clock import HeldClock

EMPTY = Page([], None)


class Told:
    """An account, and what it told others; pauses have no jitter: half of 2 s, of 4 s and so on."""

    def __init__(self) -> None:
        self.clock, self.registry = HeldClock(), CollectorRegistry()
        self.health = Health(self.clock, dependencies=(MAILGUN,), workers=())
        self.pace = Pace(0)
        self.account = Account(
            self.pace,
            Backoff(first=2.0, most=60.0, random=lambda: 0.0),
            metrics=FetcherMetrics(self.registry, ()),
            health=self.health,
            clock=self.clock,
        )

    def counted(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"mailriver_fetcher_{name}_total", labels)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize(
    ("error", "code", "pause"),
    [
        (Throttled("429"), "throttled", 1.0),
        (Unavailable("503"), "unavailable", 1.0),
        (Unreadable("HTML"), "unreadable", 0.0),
        (Refused("401"), "refused", 0.0),
    ],
)
def test_failures_are_counted_and_those_of_the_whole_account_let_all_wait(
    told: Told, error: SourceError, code: str, pause: float
) -> None:
    told.account.failed(error)
    assert told.counted("api_requests", code=code) == 1
    assert told.account.cooldown == told.pace.wait(told.clock.monotonic()) == pause
    assert told.counted("throttled_seconds") == pause
    assert not told.health.is_up(MAILGUN)


def test_what_mailgun_tells_is_waited_for_if_it_is_longer(told: Told) -> None:
    told.account.failed(Throttled("429", retry_after=30.0))
    assert told.account.cooldown == 30.0


def test_failures_one_after_the_other_make_longer_pauses_until_a_page_comes(told: Told) -> None:
    pauses = []
    for _ in range(3):
        told.account.failed(Unavailable("503"))
        pauses.append(told.account.cooldown)
        told.clock.move(told.account.cooldown)
    assert pauses == [1.0, 2.0, 4.0]
    told.account.answered(Answer(EMPTY))
    told.account.failed(Unavailable("503"))
    assert told.account.cooldown == 1.0


def test_failures_that_come_together_are_one_unless_told_to_wait_longer(told: Told) -> None:
    for _ in range(4):
        told.account.failed(Unavailable("503"))
    assert told.account.cooldown == 1.0
    told.account.failed(Throttled("429", retry_after=5.0))
    assert told.account.cooldown == 5.0
    assert told.counted("throttled_seconds") == 5.0


def test_a_page_may_ask_for_a_wait_too(told: Told) -> None:
    """The rate-limit headers of a good answer say that the next one would be refused."""
    told.account.answered(Answer(EMPTY, wait_seconds=3.0))
    assert told.account.cooldown == 3.0
    assert told.counted("api_requests", code="ok") == 1
    assert told.health.is_up(MAILGUN)


def test_replaced_bytes_are_counted(told: Told) -> None:
    told.account.answered(Answer(Page([], None, replaced=True)))
    assert told.counted("replaced_bodies") == 1
