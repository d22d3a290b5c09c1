"""Errors by what is to be done about them: wait and try again, or end the process."""

from __future__ import annotations


class MailriverError(Exception):
    """The base of all errors that a service raises on purpose."""


class Transient(MailriverError):
    """Something outside is away or busy: wait, and do the same again. Nothing is lost by it."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """``retry_after``: seconds that the other side asked for, if it did."""
        super().__init__(message)
        self.retry_after = retry_after


class SessionLost(Transient):
    """The Kafka clients are no longer usable (fenced, or out of the group): close them and open new ones."""


class Fatal(MailriverError):
    """Only a person can mend this: end the process with a clear message."""


class SettingsError(Fatal):
    """Settings that are missing, wrong or unknown: all of them at once."""

    def __init__(self, faults: list[str]) -> None:
        """``faults``: one sentence for each fault."""
        super().__init__("\n".join(faults))
        self.faults = faults
