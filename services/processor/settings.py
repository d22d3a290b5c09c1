"""The settings of the processor."""

from __future__ import annotations

from services.runtime.settings import (
    ConsumerSettings,
    DatabaseSettings,
    HttpSettings,
    ProcessorBatchSettings,
)


class ProcessorSettings(ProcessorBatchSettings, DatabaseSettings, ConsumerSettings, HttpSettings):
    """All that the processor reads from the environment."""
