"""The codec of a process: its schemas from a registry over HTTP, or from the committed lock file."""

from __future__ import annotations

from services.contracts.codec import Codec
from services.contracts.registry import parse_lock
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
    """The registry at this URL, with our present schemas."""
    files = resources.schema_files()
    # A subject's last entry is its present schema: ids only grow.
    texts = {entry.subject: files.texts[entry.file] for _, entry in sorted(parse_lock(files.lock).items())}
    return ConfluentRegistry(url, texts, registers=True)
