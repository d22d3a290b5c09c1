"""What becomes of a batch of raw events: ask, fetch, decide."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.contracts.events import RawMailgunEvent
from services.contracts.outcome import Outcome
from services.processor.core.classify import classify
from services.processor.core.normalise import normalise
from services.processor.core.resolve import needs_recipient, wanted
from services.processor.ports import Found, RecipientDirectory


class Processed(msgspec.Struct, frozen=True):
    """What became of a batch."""

    outcomes: list[Outcome]
    """One for each raw event, in their order."""
    found: Found
    """What the directory answered, with its counts."""


def process(raws: Sequence[RawMailgunEvent], directory: RecipientDirectory) -> Processed:
    """The outcome of each raw event; asks the directory once. Raises only what ``directory.find`` raises."""
    normalised = [normalise(raw.payload) for raw in raws]
    found = directory.find(wanted(normalised))
    resolutions = iter(found.resolutions)
    outcomes = [
        classify(raw, event, next(resolutions) if needs_recipient(event) else None)
        for raw, event in zip(raws, normalised, strict=True)
    ]
    return Processed(outcomes, found)
