"""Reads the body of a request as the JSON that it should be."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from services.console.core.requests import BadRequest

T = TypeVar("T")


async def body_of(request: Request, kind: type[T]) -> T:
    """The body as a ``kind``.

    Raises:
        BadRequest: it is no JSON, or has another shape; the text names the field.

    """
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body has another shape: {str(error)[:300]}") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadRequest("the body is no JSON") from None
