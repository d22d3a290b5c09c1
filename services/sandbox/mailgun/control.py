"""The simulator's own small API under ``/_simulator/``, for tests that run it as a process of its own.

* ``GET /_simulator/truth``: NDJSON, a :class:`TruthRecord` a line; with ``?visible=yes`` only what may be seen by now.
* ``POST /_simulator/events``: NDJSON, ``{"domain", "payload", "visible_at"?, "timestamp"?, "event_type"?, "id"?}`` a
  line; what is left out is taken from the payload. All or none are added: ``{"added": n}``.
* ``PUT /_simulator/scenario``: a scenario in YAML or JSON takes the place of the one in force.
* ``GET /_simulator/stats``: see :class:`Stats`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from services.sandbox.mailgun import answers
from services.sandbox.mailgun.answers import Answer
from services.sandbox.mailgun.events import SimulatedEvent, event_of
from services.sandbox.mailgun.scenario import ScenarioError, read_scenario
from services.sandbox.mailgun.service import EventsService, TruthRecord

PREFIX = "/_simulator/"
_CHUNK_BYTES = 256 * 1024


class Stream(msgspec.Struct, frozen=True):
    """An answer of unknown length, sent in pieces."""

    content_type: str
    chunks: Iterator[bytes]


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    domain: str
    payload: dict[str, Any]
    visible_at: float | None = None
    timestamp: float | None = None
    event_type: str | None = None
    id: str | None = None


def respond(service: EventsService, method: str, target: str, body: bytes) -> Answer | Stream:
    """The answer to a request whose path begins with :data:`PREFIX`."""
    path, _, query = target.partition("?")
    match method, path.removeprefix(PREFIX):
        case "GET", "truth":
            return Stream("application/x-ndjson", _truth(service, only_visible="visible=yes" in query.split("&")))
        case "GET", "stats":
            return Answer(200, msgspec.json.encode(service.stats()))
        case "POST", "events":
            return _add(service, body)
        case "PUT", "scenario":
            return _change(service, body)
        case _, "truth" | "stats" | "events" | "scenario":
            return answers.message(405, "Method Not Allowed")
        case _:
            return answers.message(404, "Not Found")


def _truth(service: EventsService, *, only_visible: bool) -> Iterator[bytes]:
    chunk = bytearray()
    for record in _chosen(service.truth(), only_visible=only_visible):
        chunk += msgspec.json.encode(record)
        chunk += b"\n"
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


def _chosen(records: Iterable[TruthRecord], *, only_visible: bool) -> Iterator[TruthRecord]:
    return (record for record in records if record.visible or not only_visible)


def _add(service: EventsService, body: bytes) -> Answer:
    by_domain: dict[str, list[SimulatedEvent]] = {}
    for number, text in enumerate(body.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=_Line)
            by_domain.setdefault(line.domain, []).append(_event(line))
        except (msgspec.DecodeError, ValueError) as error:
            return answers.message(422, f"line {number}: {error}")
    added = sum(service.add(domain, events) for domain, events in by_domain.items())
    return Answer(200, msgspec.json.encode({"added": added}))


def _event(line: _Line) -> SimulatedEvent:
    told = {"timestamp": line.timestamp, "event": line.event_type, "id": line.id}
    known = line.payload | {name: value for name, value in told.items() if value is not None}
    return msgspec.structs.replace(event_of(known, visible_at=line.visible_at), payload=line.payload)


def _change(service: EventsService, body: bytes) -> Answer:
    try:
        service.scenario = read_scenario(body)
    except ScenarioError as error:
        return answers.message(422, str(error))
    return Answer(200, msgspec.json.encode({"scenario": service.scenario}))
