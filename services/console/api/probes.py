"""The probes and the metrics, on the console's own port; they need neither token nor local Host."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.runtime.health import Health
from services.runtime.http import PROBES, probe

METRICS = "/metrics"
OPEN_PATHS = frozenset({*PROBES, METRICS})


def routes(health: Health, registry: CollectorRegistry) -> list[Route]:
    """/livez, /readyz, /startupz and /metrics, with the answers that every service gives."""

    def route(path: str) -> Route:
        async def probed(_request: Request) -> Response:
            status, body = probe(health, path)
            return Response(body, status, media_type="application/json")

        return Route(path, probed)

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return [*(route(path) for path in PROBES), Route(METRICS, metrics)]
