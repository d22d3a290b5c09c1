"""The settings of the console."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from services.runtime.settings import (
    ConsoleAccessSettings,
    DatabaseSettings,
    DomainSettings,
    HttpSettings,
    KafkaSettings,
    is_loopback,
)


class ConsoleSettings(ConsoleAccessSettings, DomainSettings, DatabaseSettings, KafkaSettings, HttpSettings):
    """All that the console reads from the environment."""

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if self.console_token is None and not is_loopback(self.http_host):
            raise ValueError(
                f"HTTP_HOST: {self.http_host} can be reached from other machines, and CONSOLE_TOKEN is not set; "
                "set CONSOLE_TOKEN (or CONSOLE_TOKEN_FILE), or leave HTTP_HOST at 127.0.0.1"
            )
        return self


class OrderSettings(DomainSettings, KafkaSettings):
    """What an order of a fetch needs."""
