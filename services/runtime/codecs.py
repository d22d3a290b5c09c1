"""The codec of a process: its schemas from a registry over HTTP, or from the committed lock file."""

from __future__ import annotations

from services.contracts.codec import Codec
from services.runtime import resources
from services.runtime.bus.registry import ConfluentRegistry


def codec_for(schema_registry_url: str | None) -> Codec:
    """The codec over the registry at this URL, where our schemas are registered, or over ``schemas/ids.json``.

    Asks nobody yet: a service starts while the registry is away.

    Raises:
        Fatal: the installation's schemas are broken.

    """
    if schema_registry_url is None:
        return Codec(resources.file_registry())
    return Codec(confluent_registry(schema_registry_url))


def confluent_registry(url: str) -> ConfluentRegistry:
    """The registry at this URL, which registers our present schemas when they are first needed."""
    return ConfluentRegistry(url)
