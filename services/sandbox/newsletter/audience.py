"""Who gets the newsletter: ids and addresses by number; the application's rows are made of them as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from heapq import nsmallest

import msgspec

from services.sandbox.mailgun.events import SimulatedEvent

BATCH_RECIPIENTS = 1000
"""Mailgun takes that many recipients in one call at most, and gives them one message id."""
UNICODE_DOMAIN, ASCII_DOMAIN = "b\u00fccher.example.net", "xn--bcher-kva.example.net"

_FIRST = ("anna", "Bela", "chloe", "dario", "Edda", "farid", "gwen", "hugo", "ines", "jun", "kofi", "lena", "mara")
_LAST = ("berg", "costa", "Diaz", "evans", "falk", "gupta", "horn", "ivanov", "jansen", "kaya", "lund")
_DOMAINS = ("example.com", "example.net", "example.org", "mail.example.com", "post.example.org")
_UNKNOWN_SUBSCRIPTION = 10
"""Every so many-th subscription has no known time."""


class _Kind(IntEnum):
    """The digit that tells the ids of the tables apart."""

    NEWSLETTER = 1
    MEMBER = 2
    EMAIL = 3
    BATCH = 4
    RECIPIENT = 5


class HeldBack(msgspec.Struct, frozen=True):
    """Recipients whose rows are to be inserted too late, and when it is too late."""

    numbers: tuple[int, ...]
    visible_at: float
    """From this instant on the first event of each of them can be seen."""


class Newsletter(msgspec.Struct, frozen=True, kw_only=True):
    """One email to ``recipients`` people, numbered from 0, and the events that Mailgun will have of it.

    Ids depend on seed and domain alone: newsletters with different seeds stand side by side in one database.
    """

    recipients: int
    seed: int
    start: float
    """Epoch seconds."""
    duration_seconds: float
    domain: str
    events: list[SimulatedEvent]
    first_visible_at: list[float]
    """By recipient: when its first event is visible that is more than an acceptance; infinite if it has none."""
    prefix: str

    @property
    def email_id(self) -> str:
        """The key of the email."""
        return self._id(_Kind.EMAIL, 0)

    @property
    def newsletter_id(self) -> str:
        """The key of the newsletter that the email belongs to."""
        return self._id(_Kind.NEWSLETTER, 0)

    @property
    def subject(self) -> str:
        """The email's subject."""
        return f"News, issue {self.seed}"

    @property
    def batches(self) -> int:
        """How many calls it takes to hand the email to Mailgun."""
        return -(-self.recipients // BATCH_RECIPIENTS)

    def recipient_id(self, number: int) -> str:
        """The key of a recipient's row."""
        return self._id(_Kind.RECIPIENT, number)

    def member_id(self, number: int) -> str:
        """The key of a recipient's member."""
        return self._id(_Kind.MEMBER, number)

    def message_id(self, number: int) -> str:
        """What Mailgun calls the batch that a recipient is in."""
        return self._provider_id(number // BATCH_RECIPIENTS)

    def address(self, number: int) -> str:
        """The address in a recipient's row; unique also without case. Some have capitals, tags, umlauts."""
        tag = "+news" if number % 29 == 7 else ""
        domain = UNICODE_DOMAIN if number % 211 == 210 else _DOMAINS[number * 7 % len(_DOMAINS)]
        name = f"{_FIRST[number % len(_FIRST)]}.{_LAST[number // 3 % len(_LAST)]}"
        return f"{name}{number}.{self.prefix[:4]}{tag}@{domain}"

    def newsletter_rows(self) -> Iterator[tuple[str, str]]:
        """Rows (id, name)."""
        yield self.newsletter_id, f"Newsletter {self.seed}"

    def member_rows(self) -> Iterator[tuple[str, str]]:
        """Rows (id, email)."""
        return ((self.member_id(number), self.address(number)) for number in range(self.recipients))

    def subscription_rows(self) -> Iterator[tuple[str, str, str | None]]:
        """Rows (member_id, newsletter_id, subscribed_at) of ``members_newsletters``; some times are not known."""
        days = [self._iso(self.start - timedelta(days=30 + day).total_seconds()) for day in range(365)]
        for number in range(self.recipients):
            since = None if number % _UNKNOWN_SUBSCRIPTION == 3 else days[number % len(days)]
            yield self.member_id(number), self.newsletter_id, since

    def email_rows(self) -> Iterator[tuple[str, str, str, bool, str]]:
        """Rows (id, newsletter_id, subject, track_opens, submitted_at)."""
        yield self.email_id, self.newsletter_id, self.subject, True, self._iso(self.start)

    def batch_rows(self) -> Iterator[tuple[str, str, str]]:
        """Rows (id, email_id, provider_id)."""
        for batch in range(self.batches):
            yield self._id(_Kind.BATCH, batch), self.email_id, self._provider_id(batch)

    def recipient_rows(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[str, str, str, str, str]]:
        """Rows (id, email_id, batch_id, member_id, member_email) of those recipients, or of all."""
        email_id = self.email_id
        for number in range(self.recipients) if numbers is None else numbers:
            batch_id = self._id(_Kind.BATCH, number // BATCH_RECIPIENTS)
            yield self.recipient_id(number), email_id, batch_id, self.member_id(number), self.address(number)

    def _id(self, kind: _Kind, number: int) -> str:
        return f"{self.prefix}{kind:x}{number:07x}"

    def _provider_id(self, batch: int) -> str:
        when = datetime.fromtimestamp(self.start, UTC)
        digest = hashlib.sha256(f"{self.prefix}/{batch}".encode()).hexdigest()
        return f"{when:%Y%m%d%H%M%S}.{digest[:16]}@{self.domain}"

    @staticmethod
    def _iso(instant: float) -> str:
        return datetime.fromtimestamp(instant, UTC).isoformat()


def first_to_be_seen(newsletter: Newsletter, count: int) -> HeldBack:
    """So many recipients whose first events are visible before all others'."""
    first = newsletter.first_visible_at
    numbers = nsmallest(count, range(newsletter.recipients), key=first.__getitem__)
    return HeldBack(tuple(numbers), max((first[number] for number in numbers), default=newsletter.start))


def prefix_of(seed: int, domain: str) -> str:
    """What all ids of a newsletter begin with: 16 hexadecimal digits."""
    return hashlib.sha256(f"{seed}/{domain}".encode()).hexdigest()[:16]


def canonical(address: str) -> str:
    """An address for comparing: without case, an international domain in its ASCII form."""
    return address.lower().replace(UNICODE_DOMAIN, ASCII_DOMAIN)
