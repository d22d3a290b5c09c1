"""What must become of the rows: worked out from the events' own payloads, by nothing that the services use."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from services.sandbox.mailgun.events import milliseconds
from services.sandbox.newsletter.audience import Newsletter, canonical

Rows: TypeAlias = dict[tuple[Any, ...], tuple[Any, ...]]
"""The rows of a table by their keys; instants in milliseconds since 1970-01-01 UTC."""


class RecipientTruth(msgspec.Struct, frozen=True, gc=False):
    """The columns of a row in ``email_recipients``: milliseconds since 1970-01-01 UTC, or None."""

    failed_at: int | None = None
    first_delivered_at: int | None = None
    delivered_at: int | None = None
    opened_at: int | None = None
    clicked_at: int | None = None


class _Item(msgspec.Struct, gc=False):
    """What counts of an event."""

    event: str
    timestamp: float
    recipient: str
    id: str = ""
    severity: str | None = None
    status: dict[str, Any] | None = msgspec.field(default=None, name="delivery-status")


class _Happening(msgspec.Struct, frozen=True, gc=False):
    """An event of one recipient."""

    kind: str
    at: int
    id: str
    status: dict[str, Any]


_Course: TypeAlias = dict[str, list[_Happening]]
"""What happened to one recipient, by kind."""


def expected_recipients(newsletter: Newsletter) -> dict[str, RecipientTruth]:
    """The columns of every recipient by its id, those without any event among them.

    A column holds the least instant of its kind of event, cut to milliseconds; ``delivered_at`` is empty where there
    is a permanent failure, whichever came first.
    """
    return {newsletter.recipient_id(number): _recipient(course) for number, course in _courses(newsletter)}


def expected_tables(newsletter: Newsletter) -> dict[str, Rows]:
    """Every table that Mailriver writes, and the batches, which it leaves alone: by the rules of the design alone."""
    tables: dict[str, Rows] = defaultdict(dict)
    subscribed = {member_id: since for member_id, _, since in newsletter.subscription_rows()}
    for number, course in _courses(newsletter):
        member_id, truth = newsletter.member_id(number), _recipient(course)
        tables["email_recipients"][newsletter.recipient_id(number),] = msgspec.structs.astuple(truth)
        _failure(tables, newsletter, number, course)
        _suppression(tables, newsletter, number, course)
        for each in course["unsubscribed"]:
            told = (newsletter.email_id, member_id, newsletter.newsletter_id)
            tables["email_unsubscribe_events"][each.id, each.at] = told
        if not course["unsubscribed"]:  # all subscriptions were begun before the newsletter was sent
            tables["members_newsletters"][member_id, newsletter.newsletter_id] = (subscribed[member_id] is not None,)
        opened, disabled = int(truth.opened_at is not None), bool(_suppressing(course))
        seen = max((each.at for each in course["opened"]), default=None)
        tables["members"][member_id,] = (disabled, seen, 1, opened, 1, opened, None)
    tables["emails"][newsletter.email_id,] = _counts(tables["email_recipients"].values())
    for batch_id, email_id, provider_id in newsletter.batch_rows():
        tables["email_batches"][batch_id,] = (email_id, provider_id)
    return tables


def _failure(tables: dict[str, Rows], newsletter: Newsletter, number: int, course: _Course) -> None:
    """The earliest permanent failure, else the latest temporary one."""
    permanent, temporary = course["failed_permanent"], course["failed_temporary"]
    if permanent or temporary:
        kept = min(permanent, key=_rank) if permanent else max(temporary, key=_rank)
        severity = "permanent" if permanent else "temporary"
        whose = newsletter.email_id, newsletter.member_id(number)
        told = (*whose, severity, *_told(kept.status), kept.at, kept.id)
        tables["email_recipient_failures"][newsletter.recipient_id(number),] = told


def _suppression(tables: dict[str, Rows], newsletter: Newsletter, number: int, course: _Course) -> None:
    """The complaint of a member, and what first suppressed the address."""
    address, member_id = newsletter.address(number), newsletter.member_id(number)
    if complained := course["complained"]:
        first = min(complained, key=_rank)
        tables["email_spam_complaint_events"][newsletter.email_id, member_id] = (address, first.at, first.id)
    if suppressing := _suppressing(course):
        first = min(suppressing, key=_rank)
        reason = "spam" if first.kind == "complained" else "bounce"
        tables["suppressions"][address.lower(),] = (reason, newsletter.email_id, first.at, first.id)
        tables["suppression_members"][address.lower(), member_id] = ()


def _suppressing(course: _Course) -> list[_Happening]:
    """What says that the address must get no more mail: complaints, and Mailgun's own lists (605 and 607)."""
    listed = [each for each in course["failed_permanent"] if int(each.status["code"]) in (605, 607)]
    return [*course["complained"], *listed]


def totals(newsletter: Newsletter) -> dict[str, int]:
    """How many events there are of each type; failures as ``failed_permanent`` and ``failed_temporary``."""
    return dict(Counter(_kind(item) for item in _items(newsletter)))


def _courses(newsletter: Newsletter) -> Iterator[tuple[int, _Course]]:
    """What happened to each recipient, by its number."""
    numbers = {canonical(newsletter.address(number)): number for number in range(newsletter.recipients)}
    courses: list[_Course] = [defaultdict(list) for _ in range(newsletter.recipients)]
    for item in _items(newsletter):
        happening = _Happening(_kind(item), milliseconds(item.timestamp), item.id, item.status or {})
        courses[numbers[canonical(item.recipient)]][happening.kind].append(happening)
    return iter(enumerate(courses))


def _items(newsletter: Newsletter) -> Iterator[_Item]:
    decoder = msgspec.json.Decoder(_Item)
    return (decoder.decode(event.payload_bytes()) for event in newsletter.events)


def _kind(item: _Item) -> str:
    return f"failed_{item.severity}" if item.event == "failed" else item.event


def _rank(happening: _Happening) -> tuple[int, bytes]:
    """What is earlier, and what of two in one millisecond."""
    return happening.at, happening.id.encode()


def _recipient(course: _Course) -> RecipientTruth:
    def least(kind: str) -> int | None:
        return min((each.at for each in course[kind]), default=None)

    failed, delivered = least("failed_permanent"), least("delivered")
    return RecipientTruth(
        failed_at=failed,
        first_delivered_at=delivered,
        delivered_at=delivered if failed is None else None,
        opened_at=least("opened"),
        clicked_at=least("clicked"),
    )


def _told(status: dict[str, Any]) -> tuple[int, str | None, str]:
    """Code, enhanced code and message, which is never empty."""
    code, enhanced = int(status["code"]), status.get("enhanced-code") or status.get("bounce-code")
    return code, enhanced, status["message"] or status["description"] or f"Error {enhanced or code}"


def _counts(recipients: Iterable[tuple[int | None, ...]]) -> tuple[int, ...]:
    """An email's recipients, and how many of them are delivered, opened, clicked and failed."""
    rows = [RecipientTruth(*row) for row in recipients]
    columns = ("delivered_at", "opened_at", "clicked_at", "failed_at")
    return len(rows), *(sum(getattr(row, column) is not None for row in rows) for column in columns)
