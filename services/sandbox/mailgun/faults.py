"""Which faults strike a request: the same scenario and number give the same, whatever the threads do."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from services.sandbox.mailgun import answers
from services.sandbox.mailgun.answers import Answer
from services.sandbox.mailgun.scenario import (
    CutAnswer,
    CutJson,
    EmptyPaging,
    Fault,
    ForeignNext,
    NoNext,
    OddItems,
    Oversized,
    Refused,
    Scenario,
    ServerError,
    Slow,
    TooManyRequests,
    UsedUp,
)


def striking(scenario: Scenario, *, number: int, seconds: float, domain: str) -> tuple[Fault, ...]:
    """The faults that strike request ``number``, ``seconds`` after the scenario was put in force."""
    return tuple(
        fault
        for at, fault in enumerate(scenario.faults)
        if fault.covers(number=number, seconds=seconds, domain=domain)
        and (fault.rate >= 1 or dice(scenario.seed, number, at).random() < fault.rate)
    )


def dice(seed: int, number: int, purpose: int) -> random.Random:
    """Randomness for one purpose of one request."""
    return random.Random(f"{seed}/{number}/{purpose}")


def delay_seconds(faults: Iterable[Fault]) -> float:
    """How much longer the answer takes."""
    return sum(fault.seconds for fault in faults if isinstance(fault, Slow))


def instead(faults: Iterable[Fault], *, domain: str, now: float) -> Answer | None:
    """The answer that takes the place of a page: that of the first fault which has one."""
    for fault in faults:
        match fault:
            case TooManyRequests():
                return answers.too_many_requests(fault, now)
            case ServerError(status=status):
                return answers.server_error(status)
            case Refused(status=status):
                return answers.refused(status, domain)
            case _:
                continue
    return None


def spoilt_page(
    faults: Iterable[Fault], items: list[bytes], paging: dict[str, str], *, own_base_url: str, rng: random.Random
) -> tuple[list[bytes], dict[str, str]]:
    """The content of a page after the faults that change it."""
    for fault in faults:
        match fault:
            case EmptyPaging():
                paging = {}
            case NoNext() if items:
                paging = {name: url for name, url in paging.items() if name != "next"}
            case ForeignNext(base_url=foreign):
                paging = {name: foreign + url.removeprefix(own_base_url) for name, url in paging.items()}
            case OddItems(count=count):
                items = answers.with_odd_items(items, count, rng.randrange)
            case _:
                continue
    return items, paging


def spoilt_answer(faults: Iterable[Fault], answer: Answer, *, now: float) -> Answer:
    """An answer after the faults that change how it is sent."""
    for fault in faults:
        match fault:
            case UsedUp(reset_seconds=seconds, reset_unit=unit):
                told = answers.rate_limit_headers(unit, now + seconds) or (("X-RateLimit-Remaining", "0"),)
                answer = msgspec.structs.replace(answer, headers=(*answer.headers, *told))
            case CutAnswer(share=share):
                answer = answers.cut_answer(answer, share)
            case CutJson(share=share):
                answer = answers.cut_json(answer, share)
            case Oversized(size_bytes=size):
                answer = answers.oversized(answer, size)
            case _:
                continue
    return answer
