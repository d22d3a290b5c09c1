"""GET /api/emails and what is below it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.adapters.emails import EmailsSource, NoSuchEmail
from services.console.api.answers import answer, refusal
from services.console.core.emails import BATCHES, FAILURES, SEVERITIES, email_place, id_place, severity_of
from services.console.core.requests import BadRequest, limit_of
from services.runtime.errors import Transient


def routes(source: EmailsSource) -> list[Route]:
    """The routes. They are plain functions, which Starlette runs in threads: they block on the database."""

    def emails(request: Request) -> Any:
        query = request.query_params
        return source.emails(email_place(query.get("after")), limit_of(query.get("limit")))

    def email(request: Request) -> Any:
        return source.email(request.path_params["id"])

    def failures(request: Request) -> Any:
        query = request.query_params
        severity = severity_of(query.get("severity"))
        wanted = SEVERITIES if severity is None else (severity,)
        after = id_place(FAILURES, query.get("after"))
        return source.failures(request.path_params["id"], wanted, after, limit_of(query.get("limit")))

    def batches(request: Request) -> Any:
        query = request.query_params
        after = id_place(BATCHES, query.get("after"))
        return source.batches(request.path_params["id"], after, limit_of(query.get("limit")))

    # An id may hold anything, a slash too.
    return [
        Route("/api/emails", _answered(emails)),
        Route("/api/emails/{id:path}/failures", _answered(failures)),
        Route("/api/emails/{id:path}/batches", _answered(batches)),
        Route("/api/emails/{id:path}", _answered(email)),
    ]


def _answered(endpoint: Callable[[Request], Any]) -> Callable[[Request], Response]:
    @wraps(endpoint)
    def respond(request: Request) -> Response:
        try:
            return answer(endpoint(request))
        except BadRequest as error:
            return refusal(422, str(error))
        except NoSuchEmail as error:
            return refusal(404, str(error))
        except Transient as error:
            return refusal(503, str(error))

    return respond
