"""How the API answers: JSON, and one shape for every refusal."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

_JSON = "application/json"


def answer(content: Any, status: int = 200) -> Response:
    """``content`` as JSON: Structs, lists, dicts of what JSON has. Nothing of it may be kept by a cache."""
    return Response(msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, media_type=_JSON)


def refusal(status: int, reason: str) -> Response:
    """``{"error": reason}``: what is wrong, and what would be right."""
    return answer({"error": reason}, status)
