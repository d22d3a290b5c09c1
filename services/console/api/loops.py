"""``GET /api/loops``: every loop and every schedule."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.fetch_topics import FetchTopics
from services.console.api.answers import answer
from services.console.core.board import FIRST, Position, listing
from services.console.core.requests import after_of, limit_of


def routes(fetch_topics: FetchTopics) -> list[Route]:
    """The route; both lists are paged together."""

    async def loops(request: Request) -> Response:
        limit = limit_of(request.query_params.get("limit"))
        after = after_of(request.query_params.get("after"), Position)
        page = fetch_topics.page(after or FIRST, limit)
        return answer(listing(page, fetch_topics.known_at))

    return [Route("/api/loops", loops)]
