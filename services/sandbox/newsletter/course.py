"""The course of a newsletter: who gets it, opens it, clicks, bounces, complains, and when Mailgun shows that.

Hours are squeezed into the duration that is asked for. Shares are those of an ordinary newsletter; what is rare but
hard (late, unresolvable by variable, oddly spelt, at one instant) is frequent enough to occur among some thousand.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from typing import Any, Literal

import msgspec

from services.sandbox.mailgun import shapes
from services.sandbox.mailgun.events import SimulatedEvent
from services.sandbox.mailgun.shapes import Mail, Reader, Refusal
from services.sandbox.mailgun.variations import vary
from services.sandbox.newsletter.audience import ASCII_DOMAIN, BATCH_RECIPIENTS, UNICODE_DOMAIN, Newsletter, prefix_of

# Shares of the recipients.
BOUNCED, SUPPRESSED, NEVER, DELAYED_BOUNCE = 0.012, 0.005, 0.002, 0.004
RETRIED, ACCEPTED = 0.03, 0.01
OPENED, OPENED_AGAIN, UNSUBSCRIBED, COMPLAINED = 0.46, 0.25, 0.005, 0.002
CLICKED_OF_OPENED, CLICKED_BY_ROBOT = 0.165, 0.008
# Shares of the events.
LATE, VARIED, SPELT_OTHERWISE, WITHOUT_VARIABLE, WITHOUT_MESSAGE_ID, SAME_INSTANT = 0.1, 0.03, 0.04, 0.03, 0.01, 0.05
PROMPT_SECONDS = 0.2
"""Within how long most events are visible."""

_REFUSALS = (
    Refusal(550, "5.1.1", "5.1.1 mailbox does not exist", "bounce", "hard"),
    Refusal(550, "5.1.1", "550-5.1.1 The email account that you tried to reach\n550 does not exist", "bounce", "hard"),
    Refusal(554, "5.7.1", "5.7.1 message blocked by policy", "espblock"),
    Refusal(550, None, "No MX for recipient", "generic", "hard"),
)
_POSTPONEMENTS = (
    Refusal(450, "4.2.0", "4.2.0 greylisted, try again in 300 seconds", "greylisted"),
    Refusal(451, "4.7.652", "4.7.652 The mail server has exceeded the maximum number of connections", "generic"),
    Refusal(452, "4.2.2", "4.2.2 mailbox full", "generic"),
    Refusal(499, None, "", "generic"),
)
_DESKTOP = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36"
_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
_READERS = (
    Reader("203.0.113.162", "Chrome", "OS X", "browser", "desktop", _DESKTOP, "US", "TX", "San Antonio"),
    Reader("203.0.113.18", "Mobile Safari", "iOS", "mobile browser", "mobile", _PHONE, "DE", "Berlin", "Berlin"),
    Reader("198.51.100.9", "Thunderbird", "Linux", "email client", "desktop", "Thunderbird/140", "FR", "IDF", "Paris"),
    Reader("192.0.2.77", "", "", "browser", "desktop", "Mozilla/5.0", "US", "CA", "Unknown", bot="apple"),
)
_ROBOT = Reader("198.51.100.3", "", "", "robot", "unknown", "scanner/1.0", "US", "Unknown", "Unknown", bot="generic")
_SUPPRESSION_CODES: tuple[Literal[605, 606, 607], ...] = (605, 605, 607, 607, 606)


def plan(
    recipients: int, *, seed: int, start: float, duration_seconds: float, late_seconds: float, domain: str
) -> Newsletter:
    """A newsletter and its course; the same arguments give the same one.

    All events lie in [start, start + duration]; a tenth of them is visible only up to ``late_seconds`` after that.
    """
    newsletter = Newsletter(
        recipients=recipients,
        seed=seed,
        start=start,
        duration_seconds=duration_seconds,
        domain=domain,
        events=[],
        first_visible_at=[inf] * recipients,
        prefix=prefix_of(seed, domain),
    )
    course = _Course(newsletter, late_seconds)
    for number in range(recipients):
        course.run(number)
    return newsletter


class _Course:
    """Appends to the newsletter's events what happens to one recipient after the other."""

    def __init__(self, newsletter: Newsletter, late_seconds: float) -> None:
        self._newsletter = newsletter
        self._late_seconds = late_seconds
        self._rng = random.Random(newsletter.seed)
        self._end = newsletter.start + newsletter.duration_seconds
        self._previous = newsletter.start
        self._message_id = ""

    def run(self, number: int) -> None:
        """All events of one recipient."""
        rng, third = self._rng, self._newsletter.duration_seconds / 3
        if number % BATCH_RECIPIENTS == 0:
            self._message_id = self._newsletter.message_id(number)
        sent = self._newsletter.start + third * rng.betavariate(1.3, 2.5)
        if rng.random() < ACCEPTED:
            self._happens(number, sent, shapes.accepted)
        fate = rng.random()
        if fate < BOUNCED:
            self._bounce(number, sent)
        elif fate < BOUNCED + SUPPRESSED:
            code = rng.choice(_SUPPRESSION_CODES)
            self._happens(number, sent, shapes.suppressed, code)
        elif fate < BOUNCED + SUPPRESSED + NEVER:
            self._postponements(number, sent)
        else:
            self._delivery(number, sent, bounces_later=fate > 1 - DELAYED_BOUNCE)

    def _bounce(self, number: int, sent: float) -> None:
        attempt, at = self._postponements(number, sent) if self._rng.random() < 0.3 else (1, sent)
        refusal = self._rng.choice(_REFUSALS)
        self._happens(number, at, shapes.bounced, refusal, attempt=attempt)

    def _postponements(self, number: int, sent: float) -> tuple[int, float]:
        """Some attempts that fail; the number of the next, and when it is made."""
        attempts, at = self._rng.randint(1, 3), sent
        for attempt in range(1, attempts + 1):
            self._happens(number, at, shapes.temporarily_failed, self._rng.choice(_POSTPONEMENTS), attempt=attempt)
            at += (self._end - at) * self._rng.uniform(0.05, 0.3)
        return attempts + 1, at

    def _delivery(self, number: int, sent: float, *, bounces_later: bool) -> None:
        rng = self._rng
        attempt, at = self._postponements(number, sent) if rng.random() < RETRIED else (1, sent)
        if rng.random() < SAME_INSTANT:
            at = self._previous
        at = self._previous = self._happens(number, at, shapes.delivered, attempt=attempt)
        if bounces_later:
            self._happens(number, self._later(at), shapes.delayed_bounce, needs_message_id=True)
        if rng.random() < OPENED:
            self._opens(number, at)
        if rng.random() < CLICKED_BY_ROBOT:
            self._clicks(number, at, at + 0.2 * rng.random(), _ROBOT)
        if rng.random() < UNSUBSCRIBED:
            reader = rng.choice(_READERS)
            self._happens(number, self._later(at), shapes.unsubscribed, reader, needs_message_id=True)
        if rng.random() < COMPLAINED:
            self._happens(number, self._later(at), shapes.complained)

    def _opens(self, number: int, delivered_at: float) -> None:
        rng, reader = self._rng, self._rng.choice(_READERS)
        at = self._happens(number, self._later(delivered_at), shapes.opened, reader, delivered_at=delivered_at)
        if rng.random() < CLICKED_OF_OPENED:
            self._clicks(number, delivered_at, self._later(at), reader)
        while rng.random() < OPENED_AGAIN:
            at = self._happens(number, self._later(at), shapes.opened, reader, delivered_at=delivered_at)

    def _clicks(self, number: int, delivered_at: float, at: float, reader: Reader) -> None:
        url = f"https://example.com/read/{self._newsletter.seed}?utm_source=digest&x=%C3%A9"
        self._happens(number, at, shapes.clicked, reader, delivered_at=delivered_at, url=url)

    def _later(self, at: float) -> float:
        """Some time after: soon for most, with a long tail."""
        return at + (self._end - at) * self._rng.betavariate(0.8, 3.0)

    def _happens(
        self,
        number: int,
        at: float,
        shape: Callable[..., dict[str, Any]],
        *details: Any,
        needs_message_id: bool = False,
        **named: Any,
    ) -> float:
        """Append an event; its exact instant."""
        rng = self._rng
        instant = self._instant(at)
        event_id = shapes.new_id(rng)
        item = shape(self._mail(number, needs_message_id=needs_message_id), instant, event_id, *details, **named)
        if rng.random() < VARIED:
            item = vary(item, rng.randrange)
        delay = rng.uniform(0, self._late_seconds if rng.random() < LATE else min(PROMPT_SECONDS, self._late_seconds))
        event = SimulatedEvent(msgspec.json.encode(item), instant, item["event"], event_id, instant + delay)
        self._newsletter.events.append(event)
        if shape is not shapes.accepted:
            first = self._newsletter.first_visible_at
            first[number] = min(first[number], event.visible_at)
        return instant

    def _instant(self, at: float) -> float:
        """The instant with six or seven decimals, never outside the course."""
        rounded = round(at, 6 if self._rng.random() < 0.5 else 7)
        return min(max(rounded, self._newsletter.start), self._end)

    def _mail(self, number: int, *, needs_message_id: bool) -> Mail:
        rng, newsletter = self._rng, self._newsletter
        address = newsletter.address(number)
        if rng.random() < SPELT_OTHERWISE:
            address = rng.choice((address.upper(), address.lower(), address.title()))
        elif address.endswith(UNICODE_DOMAIN) and rng.random() < 0.5:
            address = address.replace(UNICODE_DOMAIN, ASCII_DOMAIN)
        missing = rng.random()
        has_variable = missing >= WITHOUT_VARIABLE
        has_message_id = needs_message_id or not has_variable or missing < 1 - WITHOUT_MESSAGE_ID
        return Mail(
            recipient=address,
            domain=newsletter.domain,
            message_id=self._message_id if has_message_id else None,
            email_id=newsletter.email_id if has_variable else None,
            subject=newsletter.subject,
        )
