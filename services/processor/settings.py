"""The settings of the processor."""

from __future__ import annotations

from services.runtime.settings import (
    DatabaseSettings,
    DeadLetterSettings,
    HttpSettings,
    KafkaSettings,
    ProcessorBatchSettings,
)


class ProcessorSettings(ProcessorBatchSettings, DatabaseSettings, DeadLetterSettings, KafkaSettings, HttpSettings):
    """All that the processor reads from the environment."""
