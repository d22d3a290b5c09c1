"""The simulated service without its network: requests in, answers out, and the truth about both. Thread-safe."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from services.sandbox.mailgun import answers, faults
from services.sandbox.mailgun.answers import Answer
from services.sandbox.mailgun.events import SimulatedEvent, milliseconds
from services.sandbox.mailgun.paging import Page, page
from services.sandbox.mailgun.queries import BadRequest, Query, read_query
from services.sandbox.mailgun.scenario import CutAnswer, CutJson, Fault, Scenario
from services.sandbox.mailgun.store import Entry, EventStore
from services.sandbox.mailgun.tokens import Position, Token, decode, encode

_SPOILING = -1
"""The dice for what a fault does, apart from those for whether it strikes, which are numbered from 0."""


class Request(msgspec.Struct, frozen=True):
    """What the service needs of an HTTP request."""

    target: str
    """Path and query as they stood in the request line."""
    host: str
    authorization: str | None = None


class Stats(msgspec.Struct, frozen=True):
    """What has happened since the start."""

    requests: dict[int, int]
    """By status of the answer; cut answers count as what they began as."""
    faults: dict[str, int]
    """How often each kind struck."""
    pages: int
    events_served: int
    """Items of complete pages; an event that was shown twice counts twice."""
    events_stored: int


class TruthRecord(msgspec.Struct, frozen=True):
    """One event and what became of it."""

    domain: str
    id: str
    timestamp: float
    event_type: str
    visible_at: float
    visible: bool
    served: int
    """How many complete pages have shown it."""
    payload: msgspec.Raw


class _Call(msgspec.Struct, frozen=True):
    """A request that was understood, and the circumstances that it fell into."""

    domain: str
    token: str | None
    parameters: Sequence[tuple[str, str]]
    base_url: str
    scenario: Scenario
    number: int
    struck: tuple[Fault, ...]
    now: float


class EventsService:
    """Mailgun's Events API for any number of domains."""

    def __init__(self, scenario: Scenario, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._stores: dict[str, EventStore] = {}
        self._by_status: Counter[int] = Counter()
        self._by_fault: Counter[str] = Counter()
        self._pages = 0
        self._events_served = 0
        self._scenario, self._since, self._number = scenario, clock(), 0

    @property
    def scenario(self) -> Scenario:
        """The one in force. Setting another begins its windows anew."""
        return self._scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        with self._lock:
            self._scenario, self._since, self._number = scenario, self._clock(), 0

    def add(self, domain: str, events: Iterable[SimulatedEvent]) -> int:
        """Put events in; how many. Whoever asks from now on sees them, once their time has come."""
        together = list(events)
        with self._lock:
            return self._stores.setdefault(domain, EventStore()).add(together)

    def respond(self, request: Request) -> Answer:
        """The answer to a GET, with all that the scenario does to it. Does not wait for its delay."""
        call = self._understood(request)
        if call is None:
            return self._counted(answers.message(404, "Not Found"), ())
        answer = faults.instead(call.struck, domain=call.domain, now=call.now) or self._refusal(
            call, request.authorization
        )
        if answer is None:
            answer = self._page(call)
        answer = faults.spoilt_answer(call.struck, answer, now=call.now)
        delay = call.scenario.latency_seconds + faults.delay_seconds(call.struck)
        return self._counted(msgspec.structs.replace(answer, delay_seconds=delay), call.struck)

    def stats(self) -> Stats:
        """The counts so far."""
        with self._lock:
            stored = sum(len(store) for store in self._stores.values())
            by_status, by_fault = dict(self._by_status), dict(self._by_fault)
            return Stats(by_status, by_fault, self._pages, self._events_served, stored)

    def truth(self) -> Iterator[TruthRecord]:
        """Every event that was added until now, by domain, oldest first."""
        with self._lock:
            now = self._clock()
            entries = [(domain, list(store)) for domain, store in self._stores.items()]
        return (_record(domain, entry, now) for domain, several in entries for entry in several)

    def _understood(self, request: Request) -> _Call | None:
        path, _, query = request.target.partition("?")
        token: str | None
        match urlsplit(path).path.split("/"):
            case ["", "v3", domain, "events"]:
                token = None
            case ["", "v3", domain, "events", token]:
                pass
            case _:
                return None
        now = self._clock()
        with self._lock:
            scenario, number, since = self._scenario, self._number, self._since
            self._number += 1
        domain = unquote(domain).lower()
        return _Call(
            domain=domain,
            token=None if token is None else unquote(token),
            parameters=parse_qsl(query, keep_blank_values=True),
            base_url=(scenario.public_base_url or f"http://{request.host}").rstrip("/"),
            scenario=scenario,
            number=number,
            struck=faults.striking(scenario, number=number, seconds=now - since, domain=domain),
            now=now,
        )

    def _refusal(self, call: _Call, authorization: str | None) -> Answer | None:
        key = _key_of(authorization)
        if key in call.scenario.sending_keys:
            return answers.message(403, "Forbidden")
        if key != call.scenario.api_key:
            return answers.forbidden()
        elsewhere = call.scenario.other_region.get(call.domain)
        if elsewhere is not None:
            return answers.refused(elsewhere, call.domain)
        if call.domain not in self._stores and call.domain not in call.scenario.domains:
            return answers.domain_not_found(call.domain)
        return None

    def _page(self, call: _Call) -> Answer:
        edge_ms = milliseconds(max(0.0, call.now - call.scenario.retention_seconds))
        try:
            query, position = self._question(call, edge_ms)
        except BadRequest as error:
            return answers.message(400, str(error))
        with self._lock:
            store = self._stores.get(call.domain) or EventStore()
            inclusive = call.scenario.end_inclusive
            found = page(store, query, position, now=call.now, edge_ms=edge_ms, end_inclusive=inclusive)
            self._count_page(found, call.struck)
        links = _links(call, msgspec.structs.replace(query, range=query.range.clipped(edge_ms)), found)
        rng = faults.dice(call.scenario.seed, call.number, _SPOILING)
        items = [entry.payload for entry in found.entries]
        items, links = faults.spoilt_page(call.struck, items, links, own_base_url=call.base_url, rng=rng)
        return Answer(200, answers.page_body(items, links))

    @staticmethod
    def _question(call: _Call, edge_ms: int) -> tuple[Query, Position | None]:
        """The query and the position; a page URL says both, and its parameters say nothing."""
        if call.token is None:
            return read_query(call.parameters, now_ms=milliseconds(call.now), edge_ms=edge_ms), None
        token = decode(call.token)
        return token.query, token.position

    def _count_page(self, found: Page, struck: Iterable[Fault]) -> None:
        if any(isinstance(fault, CutAnswer | CutJson) for fault in struck):
            return
        self._pages += 1
        self._events_served += len(found.entries)
        for entry in found.entries:
            entry.served += 1

    def _counted(self, answer: Answer, struck: Iterable[Fault]) -> Answer:
        with self._lock:
            self._by_status[answer.status] += 1
            self._by_fault.update(str(fault.__struct_config__.tag) for fault in struck)
        return answer


def _key_of(authorization: str | None) -> str | None:
    """The API key of Basic credentials for the user ``api``; None for anything else."""
    kind, _, credentials = (authorization or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, key = b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        return None
    return key if user == "api" else None


def _links(call: _Call, query: Query, found: Page) -> dict[str, str]:
    """The four URLs. Tokens are standard Base64, so a slash in one has to be escaped."""
    start = f"{call.base_url}/v3/{quote(call.domain)}/events/"
    positions = {"next": found.next, "previous": found.previous, "first": found.first, "last": found.last}
    return {
        name: start + quote(encode(Token(query, position), domain=call.domain), safe="=")
        for name, position in positions.items()
    }


def _record(domain: str, entry: Entry, now: float) -> TruthRecord:
    timestamp, event_id = entry.key
    visible = entry.visible_at <= now
    payload = msgspec.Raw(entry.payload)
    return TruthRecord(domain, event_id, timestamp, entry.event_type, entry.visible_at, visible, entry.served, payload)
