"""A batch on its way through the processor, with a directory of a few known recipients."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from services.contracts.outcome import Emit, Reject, Retry, Skip
from services.contracts.reasons import DeadReason, EventType
from services.processor.core.resolve import Lookup, Recipient, Unmatched
from services.processor.pipeline import process
from services.processor.ports import Found, RecipientDirectory
from tests.support.mailgun_items import item, raw


class KnownRecipients(RecipientDirectory):
    """A directory of the recipients it is given, by address."""

    def __init__(self, *recipients: Recipient) -> None:
        self._by_address = {recipient.address: recipient for recipient in recipients}
        self.batches: list[int] = []

    @override
    def find(self, lookups: Sequence[Lookup]) -> Found:
        self.batches.append(len(lookups))
        resolutions = [self._by_address.get(lookup.address, Unmatched.NOBODY) for lookup in lookups]
        return Found(resolutions, cached=0, asked=len(set(lookups)), unmatched=resolutions.count(Unmatched.NOBODY))

    @override
    def close(self) -> None:
        self._by_address.clear()


def test_each_raw_event_of_a_batch_has_one_outcome_in_its_order() -> None:
    alice = Recipient("r1", "e1", None, "alice@example.com")
    bob = Recipient("r2", "e1", None, "bob@example.com")
    directory = KnownRecipients(alice, bob)
    batch = [
        raw(b"no json", "1"),
        raw(item("opened", recipient="bob@example.com"), "2"),
        raw(item("accepted"), "3"),
        raw(item("opened", recipient="carol@example.com"), "4"),
        raw(item("delivered"), "5"),
    ]

    dead, bobs, skipped, unknown, alices = process(batch, directory).outcomes

    assert isinstance(dead, Reject)
    assert dead.reason is DeadReason.NOT_JSON
    assert isinstance(bobs, Emit)
    assert (bobs.event.event_id, bobs.event.recipient_id) == ("2", "r2")
    assert skipped == Skip(EventType.ACCEPTED)
    assert isinstance(unknown, Retry)
    assert isinstance(alices, Emit)
    assert (alices.event.event_id, alices.event.recipient_id) == ("5", "r1")


def test_the_directory_is_asked_once_a_batch_for_what_needs_a_recipient() -> None:
    directory = KnownRecipients()

    found = process([raw(item("opened")), raw(item("stored")), raw(item("clicked"))], directory).found

    assert directory.batches == [2]
    assert (found.asked, found.unmatched) == (1, 2)


def test_an_empty_batch_has_no_outcomes() -> None:
    assert process([], KnownRecipients()).outcomes == []
