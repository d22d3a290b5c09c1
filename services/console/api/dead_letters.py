"""GET /api/dlq, one record of it, and POST /api/dlq/replay."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.dead_letters import DeadLettersSource, NoSuchLetter
from services.console.adapters.replays import ReplayRunning, Replays
from services.console.api.answers import answer, refusal
from services.console.core.dead_letters import filters_of, positions
from services.console.core.replays import replay_request
from services.console.core.requests import BadRequest, limit_of
from services.runtime.errors import Fatal, Transient


def routes(source: DeadLettersSource, replays: Replays) -> list[Route]:
    """The routes. Kafka is asked in threads, since that blocks."""

    def letters(request: Request) -> Any:
        query = request.query_params
        filters = filters_of(query.get("reason"), query.get("topic"), query.get("stage"))
        return source.page(filters, positions(query.get("after")), limit_of(query.get("limit")))

    def letter(request: Request) -> Any:
        place = request.path_params
        return source.one(place["topic"], place["partition"], place["offset"])

    async def list_them(request: Request) -> Response:
        return await run_in_threadpool(_answered, letters, request)

    async def show(request: Request) -> Response:
        return await run_in_threadpool(_answered, letter, request)

    async def replay(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answered, lambda _: replays.replay(replay_request(body)), request, 202)

    return [
        Route("/api/dlq", list_them),
        Route("/api/dlq/replay", replay, methods=["POST"]),
        Route("/api/dlq/{topic}/{partition:int}/{offset:int}", show),
    ]


def _answered(endpoint: Any, request: Request, status: int = 200) -> Response:
    try:
        return answer(endpoint(request), status)
    except BadRequest as error:
        return refusal(422, str(error))
    except NoSuchLetter as error:
        return refusal(422 if status == 202 else 404, str(error))
    except ReplayRunning as error:
        return refusal(409, str(error))
    except (Transient, Fatal) as error:
        return refusal(503, str(error))
