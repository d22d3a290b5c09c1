"""Orders of fetches and their cancellation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.commands import Commands
from services.console.adapters.fetch_topics import FetchTopics
from services.console.api.answers import answer, refusal
from services.console.api.bodies import body_of
from services.console.core.schedules import ScheduleRequest, order_of, warning_of
from services.console.metrics import ConsoleMetrics
from services.runtime.clock import Clock, micros
from services.runtime.errors import Transient

T = TypeVar("T")


class Orders(msgspec.Struct, frozen=True):
    """What orders are judged by, and where they go."""

    commands: Commands
    fetch_topics: FetchTopics
    domains: Sequence[str]
    retention_hours: float
    clock: Clock
    metrics: ConsoleMetrics


def routes(orders: Orders) -> list[Route]:
    """``POST /api/schedules`` and ``DELETE /api/schedules/{id}``; both answer when Kafka has the command."""

    async def post(request: Request) -> Response:
        wanted = await body_of(request, ScheduleRequest)
        now = micros(orders.clock)
        order = order_of(wanted, orders.domains, now)
        command = await _written(orders, lambda: orders.commands.schedule(order))
        orders.fetch_topics.note(command)
        warning = warning_of(order, now, orders.retention_hours)
        return answer({"id": command.schedule_id} | ({} if warning is None else {"warning": warning}), 202)

    async def delete(request: Request) -> Response:
        schedule_id = request.path_params["id"]
        found = orders.fetch_topics.find(schedule_id)
        if found is None:
            return refusal(404, "there is no such schedule")
        if found.has_ended:
            return refusal(409, f"the schedule has ended: it is {found.status}")
        orders.fetch_topics.note(await _written(orders, lambda: orders.commands.cancel(schedule_id, found.domain)))
        return answer({"id": schedule_id}, 202)

    return [
        Route("/api/schedules", post, methods=["POST"]),
        Route("/api/schedules/{id}", delete, methods=["DELETE"]),
    ]


async def _written(orders: Orders, write: Callable[[], T]) -> T:
    try:
        command = await anyio.to_thread.run_sync(write)
    except Transient:
        orders.metrics.commands["failed"].inc()
        raise
    orders.metrics.commands["ok"].inc()
    return command
