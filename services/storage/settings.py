"""The settings of storage."""

from __future__ import annotations

from services.runtime.settings import (
    DatabaseSettings,
    DeadLetterSettings,
    HttpSettings,
    KafkaSettings,
    StorageBatchSettings,
)


class StorageSettings(StorageBatchSettings, DatabaseSettings, DeadLetterSettings, KafkaSettings, HttpSettings):
    """All that storage reads from the environment."""
