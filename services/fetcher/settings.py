"""The settings of the fetcher."""

from __future__ import annotations

from services.fetcher.core.pace import most_others
from services.fetcher.core.schedule import Sweep
from services.fetcher.core.slices import Bounds
from services.fetcher.core.window import Margins
from services.runtime.settings import FetchSettings, HttpSettings, KafkaSettings, MailgunSettings

_MICROS = 1_000_000


class FetcherSettings(MailgunSettings, FetchSettings, KafkaSettings, HttpSettings):
    """All that the fetcher reads from the environment."""

    def bounds(self) -> Bounds:
        """What scheduled fetches keep to."""
        return Bounds(
            slices=most_others(self.fetch_concurrency),
            page_size=self.fetch_page_size,
            retention=round(self.mailgun_retention_hours * 3600 * _MICROS),
        )

    def sweep(self) -> Sweep:
        """The daily second look, in microseconds."""
        return Sweep(
            back=round(self.fetch_sweep_hours * 3600 * _MICROS),
            trust_age=round(self.fetch_trust_age_seconds * _MICROS),
        )

    def margins(self) -> Margins:
        """The windows of the loops, in microseconds."""
        return Margins(
            end_margin=round(self.fetch_end_margin_seconds * _MICROS),
            trust_age=round(self.fetch_trust_age_seconds * _MICROS),
            lookback=round(self.fetch_lookback_seconds * _MICROS),
            missing_lookback=round(self.fetch_missing_lookback_seconds * _MICROS),
        )
