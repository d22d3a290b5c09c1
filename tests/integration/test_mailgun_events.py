"""The HTTP adapter against the simulator: what is asked, what is believed, and which error each fault is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from services.contracts.reasons import Loop
from services.fetcher.adapters.mailgun_events import MailgunEvents
from services.fetcher.core.window import EVENT_TYPES
from services.fetcher.ports import PageRequest, Refused, SourceError, Throttled, Unavailable, Unreadable
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.mailgun import scenario as scenarios
from services.sandbox.mailgun.scenario import Fault, ResetUnit
from tests.support.fetching import API_KEY, DOMAIN, one, several

pytestmark = pytest.mark.integration
T = 1_787_220_000
NOW = float(T + 2_000)
ASKED = PageRequest(
    domain=DOMAIN, begin_ms=T * 1000, end_ms=(T + 1_000) * 1000 + 7, event_types=EVENT_TYPES[Loop.LATEST]
)


class Source:
    """The adapter, with what it sent and from which of its ports."""

    def __init__(self, base_url: str, *, key: str = API_KEY, tag: str | None = None, page_size: int = 300) -> None:
        self.events = MailgunEvents(
            base_url, key, tag=tag, page_size=page_size, now=lambda: NOW, monotonic=time.monotonic, connections=2
        )
        self.sent: list[str] = []
        self.ports: set[int] = set()
        self.events._client.event_hooks = {"response": [self._note]}

    def _note(self, response: httpx.Response) -> None:
        self.sent.append(response.request.url.raw_path.decode())
        self.ports.add(response.extensions["network_stream"].get_extra_info("client_addr")[1])

    def fetch(self, request: PageRequest) -> list[str]:
        return [item.event_id for item in self.events.fetch(request).page.items]

    def fails(self, request: PageRequest = ASKED) -> SourceError:
        with pytest.raises(SourceError) as caught:
            self.events.fetch(request)
        return caught.value


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(Scenario(api_key=API_KEY), clock=lambda: NOW) as running:
        running.add(DOMAIN, several(60, T, 60))
        yield running


@pytest.fixture
def source(simulator: MailgunSimulator) -> Iterator[Source]:
    asking = Source(simulator.base_url, page_size=25)
    yield asking
    asking.events.close()


def faulty(simulator: MailgunSimulator, *faults: Fault) -> None:
    simulator.scenario = Scenario(api_key=API_KEY, faults=faults)


def test_a_range_is_asked_in_milliseconds_by_types_and_ascending(source: Source) -> None:
    """The simulator refuses parameters that it does not know, so what it answered it also understood."""
    source.fetch(ASKED)
    target = urlsplit(source.sent[0])
    assert target.path == f"/v3/{DOMAIN}/events"
    assert parse_qs(target.query, strict_parsing=True) == {
        "begin": [f"{T}.000"],
        "end": [f"{T + 1_000}.007"],
        "ascending": ["yes"],
        "limit": ["25"],
        "event": ["delivered OR failed OR unsubscribed OR complained"],
    }


def test_all_types_are_asked_for_by_naming_none(source: Source) -> None:
    assert len(source.fetch(msgspec.structs.replace(ASKED, event_types=()))) == 25
    assert "event" not in parse_qs(urlsplit(source.sent[0]).query)


def test_a_tag_is_asked_for_in_quotes_and_chooses(simulator: MailgunSimulator) -> None:
    simulator.add(DOMAIN, [one("tagged", T + 5, tags=["my letter"])])
    asking = Source(simulator.base_url, tag="my letter")
    assert asking.fetch(ASKED) == ["tagged"]
    assert parse_qs(urlsplit(asking.sent[0]).query)["tags"] == ['"my letter"']
    asking.events.close()


def test_links_are_followed_as_they_are_on_one_connection_to_the_empty_page(source: Source) -> None:
    """What is sent for a link is, byte for byte, what the page said."""
    everything = msgspec.structs.replace(ASKED, event_types=())
    ids, links = [], []
    page = source.events.fetch(everything).page
    while page.items:
        ids += [item.event_id for item in page.items]
        assert page.next_url is not None
        links.append(page.next_url)
        page = source.events.fetch(msgspec.structs.replace(everything, url=page.next_url)).page
    assert ids == [f"e{number}" for number in range(60)]
    assert source.sent[1:] == [urlsplit(link).path for link in links]
    assert len(source.ports) == 1, "a new connection for every page"


REFUSALS: list[tuple[Fault, type[SourceError], str]] = [
    (scenarios.Refused(status=401), Refused, "MAILGUN_API_KEY"),
    (scenarios.Refused(status=402), Refused, "402"),
    (scenarios.Refused(status=403), Refused, "role"),
    (scenarios.Refused(status=404), Refused, "unknown domain"),
    (scenarios.ServerError(status=500), Unavailable, "500"),
    (scenarios.ServerError(status=503), Unavailable, "503"),
    (scenarios.ServerError(status=599), Unavailable, "599"),
    (scenarios.TooManyRequests(), Throttled, "429"),
    (scenarios.CutAnswer(), Unavailable, "no complete answer"),
    (scenarios.CutAnswer(share=0.0), Unavailable, "no complete answer"),
    (scenarios.CutJson(), Unreadable, "not JSON"),
    (scenarios.ForeignNext(), Unreadable, "MAILGUN_BASE_URL"),
    (scenarios.NoNext(), Unreadable, "no link"),
    (scenarios.EmptyPaging(), Unreadable, "no link"),
    (scenarios.Oversized(), Unreadable, "larger than 32 MB"),
]


@pytest.mark.parametrize(("fault", "kind", "word"), REFUSALS, ids=lambda value: type(value).__name__)
def test_each_fault_is_an_error_of_one_line_without_key_or_address(
    fault: Fault, kind: type[SourceError], word: str, simulator: MailgunSimulator, source: Source
) -> None:
    """And the adapter serves the next request as if nothing had been."""
    faulty(simulator, fault)
    error = source.fails()
    assert type(error) is kind
    assert word in str(error)
    assert "\n" not in str(error)
    assert API_KEY not in str(error)
    assert "example.net" not in str(error)
    assert simulator.base_url.rpartition("/")[2] not in str(error)
    faulty(simulator)
    assert len(source.fetch(ASKED)) == 25


@pytest.mark.parametrize("body", ["json", "text", "retry_seconds"])
@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (scenarios.TooManyRequests(retry_after_seconds=7), 7),
        (scenarios.TooManyRequests(retry_after_seconds=7, retry_after_as="date"), 7),
        (scenarios.TooManyRequests(retry_after_seconds=None), None),
        (scenarios.TooManyRequests(retry_after_seconds=None, reset_seconds=9, reset_unit=ResetUnit.SECONDS), 9),
        (scenarios.TooManyRequests(retry_after_seconds=None, reset_seconds=9, reset_unit=ResetUnit.MILLISECONDS), 9),
        (scenarios.TooManyRequests(retry_after_seconds=7, reset_seconds=9, reset_unit=ResetUnit.SECONDS), 9),
        (scenarios.TooManyRequests(retry_after_seconds=1e9), 3600),
    ],
)
def test_a_429_tells_how_long_in_every_unit(
    fault: scenarios.TooManyRequests, seconds: float | None, body: str, simulator: MailgunSimulator, source: Source
) -> None:
    faulty(simulator, msgspec.structs.replace(fault, body=body))
    told = source.fails().retry_after
    assert told == (None if seconds is None else pytest.approx(seconds, abs=0.01))


@pytest.mark.parametrize(
    ("unit", "seconds"), [(ResetUnit.NONE, 1.0), (ResetUnit.SECONDS, 6.0), (ResetUnit.MILLISECONDS, 6.0)]
)
def test_a_page_that_used_up_the_budget_is_taken_and_says_how_long_to_wait(
    unit: ResetUnit, seconds: float, simulator: MailgunSimulator, source: Source
) -> None:
    faulty(simulator, scenarios.UsedUp(reset_seconds=6, reset_unit=unit))
    answer = source.events.fetch(ASKED)
    assert len(answer.page.items) == 25
    assert answer.wait_seconds == pytest.approx(seconds, abs=0.01)


def test_a_body_of_just_under_the_bound_is_read(simulator: MailgunSimulator, source: Source) -> None:
    faulty(simulator, scenarios.Oversized(size_bytes=32 * 1024 * 1024))
    assert len(source.fetch(ASKED)) == 25


def test_odd_items_stand_in_the_page_with_the_others(simulator: MailgunSimulator, source: Source) -> None:
    faulty(simulator, scenarios.OddItems(count=5))
    assert len(source.fetch(ASKED)) == 30


def test_the_key_is_never_sent_to_another_host(simulator: MailgunSimulator, source: Source) -> None:
    elsewhere = msgspec.structs.replace(ASKED, url=f"http://mailgun.example.net/v3/{DOMAIN}/events/abc")
    assert type(source.fails(elsewhere)) is Unreadable
    assert type(source.fails(msgspec.structs.replace(ASKED, url="http://[broken"))) is Unreadable
    assert source.sent == []


def test_a_wrong_key_is_told_as_such(simulator: MailgunSimulator) -> None:
    asking = Source(simulator.base_url, key="key-wrong")
    assert "wrong MAILGUN_API_KEY" in str(asking.fails())
    asking.events.close()


def test_nobody_listening_is_told_at_once_and_mended_by_a_new_connection(
    simulator: MailgunSimulator, source: Source
) -> None:
    """A kept connection that the other side has closed meanwhile costs one error at most."""
    source.fetch(ASKED)
    simulator.stop()
    began = time.monotonic()
    error = source.fails()
    assert type(error) is Unavailable
    assert time.monotonic() - began < 5
    assert simulator.base_url.rpartition("/")[2] not in str(error)
    simulator.start()
    assert len(source.fetch(ASKED)) == 25
