"""Emails and dead letters as the live stream asks for them."""

from __future__ import annotations

from typing import Any

from services.console.adapters.dead_letters import DeadLettersSource
from services.console.adapters.emails import EmailsSource
from services.runtime.errors import Transient
from services.runtime.health import Health


class EmailsLive:
    """The newest emails. Each look tells how the database is."""

    name = "emails"
    every_seconds = 2.0

    def __init__(self, emails: EmailsSource, health: Health) -> None:
        self._emails, self._health = emails, health

    def snapshot(self) -> Any:
        """See :class:`services.console.api.stream.Source`."""
        try:
            newest = self._emails.snapshot()
        except Transient as error:
            self._health.fails("database", str(error))
            raise
        self._health.works("database")
        return {"emails": newest}


class DeadLettersLive:
    """How many dead letters there are, and when the newest came."""

    name = "dlq"
    every_seconds = 2.0

    def __init__(self, letters: DeadLettersSource) -> None:
        self._letters = letters

    def snapshot(self) -> Any:
        """See :class:`services.console.api.stream.Source`."""
        return self._letters.snapshot()
