"""``GET /api/consumers`` and ``GET /api/services``."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.consumers import Consumers
from services.console.api.answers import answer
from services.console.core.consumers import ConsumerRow
from services.console.core.requests import after_of, cursor_of, limit_of


class _Key(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where a page ends."""

    group: str
    topic: str
    partition: int


def routes(consumers: Consumers) -> list[Route]:
    """Both routes; they are answered in a thread, since they ask Kafka."""

    def lags(request: Request) -> Response:
        limit, after = limit_of(request.query_params.get("limit")), after_of(request.query_params.get("after"), _Key)
        rows = [row for row in consumers.lags() if after is None or _key(row) > after]
        page, more = rows[:limit], len(rows) > limit
        return answer({"consumers": page, "next": cursor_of(_key(page[-1])) if more else None})

    def services(_request: Request) -> Response:
        return answer({"services": consumers.services()})

    return [Route("/api/consumers", lags), Route("/api/services", services)]


def _key(row: ConsumerRow) -> _Key:
    return _Key(row.group, row.topic, row.partition)
