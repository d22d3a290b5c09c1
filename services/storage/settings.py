"""The settings of storage."""

from __future__ import annotations

from services.runtime.settings import (
    ConsumerSettings,
    DatabaseSettings,
    HttpSettings,
    StorageBatchSettings,
)


class StorageSettings(StorageBatchSettings, DatabaseSettings, ConsumerSettings, HttpSettings):
    """All that storage reads from the environment."""
