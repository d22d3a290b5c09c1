"""The Mailgun account: what the answers to its requests say about how fast it may be asked on."""

from __future__ import annotations

from services.fetcher.core.pace import Pace
from services.fetcher.metrics import FetcherMetrics
from services.fetcher.ports import Answer, SourceError, Throttled, Unavailable
from services.runtime.backoff import Backoff
from services.runtime.clock import Clock
from services.runtime.health import Health

MAILGUN = "mailgun"
"""The account, as health knows it."""


class Account:
    """Counts every request by its outcome and, where Mailgun says or shows that it is too much, lets all loops wait."""

    def __init__(self, pace: Pace, backoff: Backoff, *, metrics: FetcherMetrics, health: Health, clock: Clock) -> None:
        """``pace``: the one that the requests leave by. ``backoff``: of failures that are nobody's in particular."""
        self._pace, self._backoff = pace, backoff
        self._metrics, self._health, self._clock = metrics, health, clock

    @property
    def cooldown(self) -> float:
        """Seconds that no request will leave for; 0 for none."""
        return self._pace.cooldown(self._clock.monotonic())

    def answered(self, answer: Answer) -> None:
        """Note a page: the next failure is a first one again."""
        self._metrics.requests["ok"].inc()
        self._health.works(MAILGUN)
        self._backoff.succeeded()
        if answer.wait_seconds is not None:
            self._cool(answer.wait_seconds)
        if answer.page.replaced:
            self._metrics.replaced.inc()

    def failed(self, error: SourceError) -> None:
        """Note a failure. After one of the account's or of Mailgun's, all wait, longer each time.

        Requests that fail together are one failure: those that follow the first lengthen its pause only if told to.
        """
        self._metrics.requests[error.code].inc()
        self._health.fails(MAILGUN, str(error))
        if not isinstance(error, (Throttled, Unavailable)):
            return
        if self.cooldown > 0:
            self._cool(error.retry_after or 0.0)
        else:
            self._cool(self._backoff.failed(error.retry_after))

    def _cool(self, seconds: float) -> None:
        self._metrics.throttled_seconds.inc(self._pace.cool(self._clock.monotonic(), seconds))
