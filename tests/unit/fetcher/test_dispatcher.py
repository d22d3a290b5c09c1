"""Requests in a few threads: each answered once, and none held for ever."""

from __future__ import annotations

from threading import Event

from services.fetcher.core.pace import Pace
from services.fetcher.core.page import Page
from services.fetcher.dispatcher import OVERDUE_SECONDS, Dispatcher
from services.fetcher.ports import Answer, PageRequest, Unavailable
from tests.support.clock import HeldClock
from tests.support.waiting import wait_until

EMPTY = Answer(Page([], None))


class Gate:
    """A source whose answers come when it is opened; those for the domain `quick` come at once."""

    def __init__(self) -> None:
        self.opened = Event()

    def fetch(self, request: PageRequest) -> Answer:
        if request.domain != "quick":
            self.opened.wait(30)
        return EMPTY

    def close(self) -> None:
        self.opened.set()


def request(domain: str) -> PageRequest:
    return PageRequest(domain, 0, 1, ())


def test_a_request_that_takes_too_long_is_given_up_and_its_place_is_free_again() -> None:
    """Its late answer is thrown away, and the next request is answered though the thread still hangs."""
    clock, gate = HeldClock(), Gate()
    dispatcher: Dispatcher[str] = Dispatcher(gate, concurrency=1, pace=Pace(0), clock=clock)
    dispatcher.ask("slow", request("slow"), urgent=True)
    assert dispatcher.answers(0.01) == []
    clock.move(OVERDUE_SECONDS + 1)
    ((ticket, failure),) = dispatcher.answers(0.01)
    assert ticket == "slow"
    assert isinstance(failure, Unavailable)
    dispatcher.ask("next", request("quick"), urgent=True)
    got: list[str] = []

    def has_answered(count: int) -> bool:
        got.extend(each for each, answer in dispatcher.answers(0.05) if answer is EMPTY)
        return len(got) >= count

    wait_until(lambda: has_answered(1), seconds=5, what="the next request is answered")
    gate.opened.set()
    dispatcher.ask("last", request("quick"), urgent=True)
    wait_until(lambda: has_answered(2), seconds=5, what="the last request is answered")
    assert got == ["next", "last"]
    dispatcher.close()


def test_one_connection_is_kept_for_the_urgent() -> None:
    """However many slices of a backfill wait for slow answers."""
    gate = Gate()
    dispatcher: Dispatcher[str] = Dispatcher(gate, concurrency=8, pace=Pace(0), clock=HeldClock())
    for number in range(20):
        dispatcher.ask(f"slice {number}", request("slow"), urgent=False)
    assert dispatcher.answers(0.01) == []
    got: list[str] = []

    def has_answered(count: int) -> bool:
        got.extend(ticket for ticket, _ in dispatcher.answers(0.05))
        return len(got) >= count

    for number in range(3):
        dispatcher.ask(f"latest {number}", request("quick"), urgent=True)
        wait_until(lambda: has_answered(len(got) + 1), seconds=5, what="latest is answered")
    assert got == ["latest 0", "latest 1", "latest 2"]
    gate.opened.set()
    wait_until(lambda: has_answered(23), seconds=5, what="the slices are answered too")
    dispatcher.close()


def test_with_one_connection_all_take_turns_on_it() -> None:
    """There is none to be kept."""
    dispatcher: Dispatcher[str] = Dispatcher(Gate(), concurrency=1, pace=Pace(0), clock=HeldClock())
    dispatcher.ask("slice", request("quick"), urgent=False)
    wait_until(lambda: dispatcher.answers(0.05), seconds=5, what="the slice is answered")
    dispatcher.close()
