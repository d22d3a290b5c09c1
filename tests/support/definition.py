"""What the tables must hold, by the words of the rules alone: slow, plain, and written apart from the service.

A state is a function of the application's rows and the set of events. All times are whole milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from services.contracts.events import EmailEvent, FailureEvent


class Recipient(NamedTuple):
    """What the application says of a recipient."""

    email_id: str
    member_id: str | None
    address: str


class Email(NamedTuple):
    """What the application says of an email."""

    newsletter_id: str | None = None
    is_tracked: bool = True


class World(NamedTuple):
    """The application's rows by their keys."""

    recipients: Mapping[str, Recipient]
    emails: Mapping[str, Email]
    members: frozenset[str] = frozenset()
    subscriptions: Mapping[tuple[str, str], int | None] = {}
    """When each (member, newsletter) was subscribed, if known."""


class Row(NamedTuple):
    """The columns of ``email_recipients`` that events set."""

    failed_at: int | None
    first_delivered_at: int | None
    delivered_at: int | None
    opened_at: int | None
    clicked_at: int | None


class State(NamedTuple):
    """The tables by their keys."""

    recipients: dict[str, Row]
    failures: dict[str, tuple[Any, ...]]
    """email, member, severity, code, enhanced code, message, time, event id."""
    emails: dict[str, tuple[int, ...]]
    """recipients, delivered, opened, clicked, failed."""
    members: dict[str, tuple[Any, ...]]
    """disabled, last seen, emails, opened, tracked, rate."""
    complaints: dict[tuple[str, str], tuple[Any, ...]]
    """address, time, event id."""
    suppressions: dict[str, tuple[Any, ...]]
    """reason, email, time, event id."""
    suppression_members: set[tuple[str, str]]
    unsubscriptions: dict[tuple[str, int], tuple[Any, ...]]
    """email, member, newsletter."""
    subscriptions: set[tuple[str, str]]


class Stored(NamedTuple):
    """A value, and the place of the event that it comes from."""

    value: Any
    place: int


Key = tuple[Hashable, ...]


def state(world: World, events: Sequence[EmailEvent]) -> State:
    """What must be stored after these events."""
    values = {key: stored.value for key, stored in stored_values(world, events).items()}

    def of(table: str) -> dict[Any, Any]:
        return {key[1] if len(key) == 2 else key[1:]: value for key, value in values.items() if key[0] == table}

    rows = {recipient_id: _row(recipient_id, values) for recipient_id in world.recipients}
    left = {(member, newsletter, at) for (_, at), (_, member, newsletter) in of("unsubscription").items()}
    return State(
        recipients=rows,
        failures=of("failure"),
        emails={email_id: _email(world, rows, email_id) for email_id in world.emails},
        members={member_id: _member(world, rows, values, member_id) for member_id in world.members},
        complaints=of("complaint"),
        suppressions=of("suppression"),
        suppression_members=set(of("suppressed member")),
        unsubscriptions=of("unsubscription"),
        subscriptions={
            pair
            for pair, since in world.subscriptions.items()
            if not any((m, n) == pair and (since is None or since <= at) for m, n, at in left)
        },
    )


def recipient_rows(recipient_ids: Sequence[str], events: Sequence[EmailEvent]) -> dict[str, Row]:
    """The rows of all recipients."""
    world = World({each: Recipient("e1", None, each) for each in recipient_ids}, {"e1": Email()})
    return state(world, events).recipients


def changed(world: World, before: Sequence[EmailEvent], batch: Sequence[EmailEvent]) -> set[int]:
    """Which events of a batch changed a value, after the events before it: their places in the batch."""
    old, new, of_batch = (stored_values(world, events) for events in (before, [*before, *batch], batch))
    return {of_batch[key].place for key in new if key not in old or old[key].value != new[key].value}


def stored_values(world: World, events: Sequence[EmailEvent]) -> dict[Key, Stored]:
    """All values that events set, apart from what is counted or follows."""
    values: dict[Key, Stored] = {}
    for table in (_columns, _failures, _last_seen, _complaints, _suppressions, _unsubscriptions):
        for key, value, place in table(world, events):
            values[key] = Stored(value, place)
    return values


Values = Iterator[tuple[Key, Any, int]]

COLUMNS = ("bounced", "delivered", "opened", "clicked")


def _columns(world: World, events: Sequence[EmailEvent]) -> Values:
    for kind in COLUMNS:
        for recipient_id in world.recipients:
            if mine := _places(events, lambda e: e.event_type == kind and e.recipient_id == recipient_id):  # noqa: B023
                place = min(mine, key=_rank_in(events))
                yield (kind, recipient_id), _at(events[place]), place


def _failures(world: World, events: Sequence[EmailEvent]) -> Values:
    for recipient_id, recipient in world.recipients.items():
        mine = _places(events, lambda e: e.recipient_id == recipient_id)  # noqa: B023
        permanent = [place for place in mine if events[place].event_type == "bounced"]
        temporary = [place for place in mine if events[place].event_type == "temporarily_failed"]
        if permanent or temporary:
            rank = _rank_in(events)
            place = min(permanent, key=rank) if permanent else max(temporary, key=rank)
            told = (*_failure(events[place]), *_when(events[place]))
            yield ("failure", recipient_id), (recipient.email_id, recipient.member_id, *told), place


def _last_seen(world: World, events: Sequence[EmailEvent]) -> Values:
    for member_id in world.members:
        if opened := _places(events, lambda e: e.event_type == "opened" and e.member_id == member_id):  # noqa: B023
            place = max(opened, key=lambda place: _at(events[place]))
            yield ("seen", member_id), _at(events[place]), place


def _complaints(_: World, events: Sequence[EmailEvent]) -> Values:
    complaints = _places(events, lambda e: e.event_type == "complained" and e.member_id is not None)
    # The least comes last, and the first of several that are the same.
    for place in sorted(complaints, key=_rank_in(events))[::-1]:
        event = events[place]
        yield ("complaint", event.email_id, event.member_id), (event.recipient, *_when(event)), place


def _suppressions(world: World, events: Sequence[EmailEvent]) -> Values:
    for place in sorted(_places(events, _suppresses), key=_rank_in(events))[::-1]:
        event = events[place]
        reason = "spam" if event.event_type == "complained" else "bounce"
        address = event.recipient.lower()
        yield ("suppression", address), (reason, event.email_id, *_when(event)), place
        if event.member_id in world.members:
            yield ("suppressed member", address, event.member_id), True, place


def _unsubscriptions(world: World, events: Sequence[EmailEvent]) -> Values:
    for place in reversed(_places(events, lambda e: e.event_type == "unsubscribed")):
        event = events[place]
        newsletter_id = world.emails[event.email_id].newsletter_id if event.email_id in world.emails else None
        yield ("unsubscription", event.event_id, _at(event)), (event.email_id, event.member_id, newsletter_id), place


def _places(events: Sequence[EmailEvent], which: Callable[[EmailEvent], bool]) -> list[int]:
    return [place for place, event in enumerate(events) if which(event)]


def _rank_in(events: Sequence[EmailEvent]) -> Callable[[int], tuple[int, bytes]]:
    return lambda place: (_at(events[place]), events[place].event_id.encode())


def _at(event: EmailEvent) -> int:
    return event.occurred_at // 1000


def _when(event: EmailEvent) -> tuple[int, str]:
    return _at(event), event.event_id


def _row(recipient_id: str, values: Mapping[Key, Any]) -> Row:
    failed, delivered, opened, clicked = (values.get((kind, recipient_id)) for kind in COLUMNS)
    return Row(failed, delivered, None if failed is not None else delivered, opened, clicked)


def _failure(event: EmailEvent) -> tuple[Any, ...]:
    if not isinstance(event, FailureEvent):
        raise TypeError(f"a {event.event_type} event is no failure")
    code = event.code if event.code is not None and event.code <= 2_147_483_647 else None
    enhanced_code, message = _text(event.enhanced_code), _text(event.message)
    if message is None:
        message = f"Error {code if enhanced_code is None else enhanced_code}"
        message = "Error" if message == "Error None" else message
    return "permanent" if event.event_type == "bounced" else "temporary", code, enhanced_code, message


def _text(text: str | None) -> str | None:
    if text is None:
        return None
    clean = "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text if each != "\0")
    return clean[:2000] if clean.strip() else None


def _suppresses(event: EmailEvent) -> bool:
    return event.event_type == "complained" or (
        event.event_type == "bounced" and isinstance(event, FailureEvent) and event.code in (605, 607)
    )


def _email(world: World, rows: Mapping[str, Row], email_id: str) -> tuple[int, ...]:
    mine = [rows[recipient_id] for recipient_id, each in world.recipients.items() if each.email_id == email_id]
    columns = ("delivered_at", "opened_at", "clicked_at", "failed_at")
    return len(mine), *(sum(getattr(row, column) is not None for row in mine) for column in columns)


def _member(world: World, rows: Mapping[str, Row], values: Mapping[Key, Any], member_id: str) -> tuple[Any, ...]:
    mine = [recipient_id for recipient_id, each in world.recipients.items() if each.member_id == member_id]
    opened = [recipient_id for recipient_id in mine if rows[recipient_id].opened_at is not None]
    tracked = [each for each in mine if world.emails[world.recipients[each].email_id].is_tracked]
    rate = None
    if len(tracked) >= 5:
        share = Decimal(100 * len(set(opened) & set(tracked))) / len(tracked)
        rate = int(share.quantize(Decimal(1), ROUND_HALF_UP))
    disabled = any(key[0] == "suppressed member" and key[2] == member_id for key in values)
    return disabled, values.get(("seen", member_id)), len(mine), len(opened), len(tracked), rate
