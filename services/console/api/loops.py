"""``GET /api/loops``: every loop and every schedule."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.fetch_topics import FetchTopics
from services.console.api.answers import answer
from services.console.core.board import FIRST, Position
from services.console.core.requests import after_of, cursor_of, limit_of
from services.console.core.times import iso


def routes(fetch_topics: FetchTopics) -> list[Route]:
    """The route; both lists are paged together."""

    async def loops(request: Request) -> Response:
        limit = limit_of(request.query_params.get("limit"))
        after = after_of(request.query_params.get("after"), Position)
        page = fetch_topics.page(after or FIRST, limit)
        known_at = fetch_topics.known_at
        return answer(
            {
                "loops": page.loops,
                "schedules": page.schedules,
                "next": cursor_of(page.next) if page.next else None,
                "as_of": iso(None if known_at is None else int(known_at * 1_000_000)),
            }
        )

    return [Route("/api/loops", loops)]
