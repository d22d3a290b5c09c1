"""The settings of the fetcher."""

from __future__ import annotations

from services.fetcher.core.window import Margins
from services.runtime.settings import FetchSettings, HttpSettings, KafkaSettings, MailgunSettings

_MICROS = 1_000_000


class FetcherSettings(MailgunSettings, FetchSettings, KafkaSettings, HttpSettings):
    """All that the fetcher reads from the environment."""

    def margins(self) -> Margins:
        """The windows of the loops, in microseconds."""
        return Margins(
            end_margin=round(self.fetch_end_margin_seconds * _MICROS),
            trust_age=round(self.fetch_trust_age_seconds * _MICROS),
            lookback=round(self.fetch_lookback_seconds * _MICROS),
            missing_lookback=round(self.fetch_missing_lookback_seconds * _MICROS),
        )
