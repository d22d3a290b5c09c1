"""The page and its files."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

from services.console import web

# Asked for again each time, answered with 304 while it is the same: after an upgrade no page runs on old modules.
_REVALIDATE = {"Cache-Control": "no-cache"}


class _Files(StaticFiles):
    """The folder of :mod:`services.console.web`, with types that do not depend on the machine."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or 304, or 404 as an exception."""
        response = await super().get_response(path, scope)
        response.headers.update(_REVALIDATE)
        if path.endswith((".js", ".mjs")):
            response.headers["Content-Type"] = "text/javascript; charset=utf-8"
        return response


def routes() -> list[BaseRoute]:
    """``GET /`` and ``/static``. What the page shows comes from the API."""
    shell = web.page()

    async def page(_: Request) -> Response:
        return HTMLResponse(shell, headers={"Cache-Control": "no-store"})

    return [Route("/", page), Mount("/static", _Files(directory=web.STATIC), name="static")]
