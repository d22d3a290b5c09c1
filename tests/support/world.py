"""A small world of the application's rows, and all tables read back as the definition writes them."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from services.contracts.events import EmailEvent, FailureEvent
from tests.support.definition import Email, Recipient, Row, State, World
from tests.support.storage import NOON, stored_rows

NOON_MILLIS = NOON // 1000

WORLD = World(
    recipients={
        "r1": Recipient("e1", "m1", "Ann@Example.com"),
        "r2": Recipient("e1", "m2", "bob@example.com"),
        "R3": Recipient("e2", "m1", "ann@example.COM"),  # the same member, untracked, in other letters
        "r4": Recipient("e3", "m2", "ann@example.com"),  # that address again, of another member, without newsletter
        "r5": Recipient("e1", None, "nobody@example.com"),
        "r6": Recipient("e3", "gone", "left@example.com"),
        **{f"s{i}": Recipient("e1", "m1", f"ann+{i}@example.com") for i in range(4)},  # enough for a rate
    },
    emails={"e1": Email("n1"), "e2": Email("n2", is_tracked=False), "e3": Email()},
    members=frozenset({"m1", "m2"}),
    subscriptions={
        ("m1", "n1"): NOON_MILLIS + 1,  # after the first millisecond of the events, not after the second
        ("m2", "n1"): None,
        ("m1", "n2"): NOON_MILLIS + 9,
    },
)

GONE = {"gone": Recipient("e1", "m2", "bob@example.com")}
"""Recipients that events tell of and that have no row."""

# Not TRUNCATE, which makes files and so costs as much as the rest of an example.
_CLEAR = b"; ".join(
    b"DELETE FROM mailriver." + table
    for table in (
        b"emails", b"members", b"newsletters", b"email_spam_complaint_events", b"email_unsubscribe_events",
        b"suppressions", b"suppression_members", b"storage_offsets", b"storage_totals",
    )
)  # fmt: skip


def fill(dsn: str, world: World) -> None:
    """These rows and no others; nothing has happened yet."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(_CLEAR)
        cursor.executemany(
            "INSERT INTO mailriver.members (id, email) VALUES (%s, %s)",
            [(member_id, f"{member_id}@example.com") for member_id in world.members],
        )
        cursor.executemany(
            "INSERT INTO mailriver.members_newsletters (member_id, newsletter_id, subscribed_at) "
            "VALUES (%s, %s, to_timestamp(%s / 1000.0))",
            [(*pair, since) for pair, since in world.subscriptions.items()],
        )
        cursor.executemany(
            "INSERT INTO mailriver.emails (id, newsletter_id, track_opens, subject, submitted_at) "
            "VALUES (%s, %s, %s, 'News', now())",
            [(email_id, *email) for email_id, email in world.emails.items()],
        )
        cursor.executemany(
            "INSERT INTO mailriver.email_recipients (id, email_id, member_id, member_email) VALUES (%s, %s, %s, %s)",
            [(recipient_id, *recipient) for recipient_id, recipient in world.recipients.items()],
        )


def told_of(kind: type[EmailEvent], recipient_id: str, at: int, *, nth: int, loop: str) -> EmailEvent:
    """An event of the world. What the same event id says at the same time is always the same."""
    recipient = {**WORLD.recipients, **GONE}[recipient_id]
    fields: dict[str, Any] = {
        "event_id": f"{'aBé'[nth]}-{kind.event_type}-{recipient_id}",
        "occurred_at": at,
        "email_id": recipient.email_id,
        "recipient_id": recipient_id,
        "member_id": recipient.member_id,
        "recipient": recipient.address,
        "domain": "mail.example.org",
        "loop": loop,
    }
    if issubclass(kind, FailureEvent):
        fields |= {
            "code": (605, None, 2**31)[nth],
            "enhanced_code": (None, None, "5.1.1\0")[nth],
            "message": ("\0 ", None, "No \ud800 such\0 user")[nth],
            "reason": None,
            "severity": "permanent" if kind.event_type == "bounced" else "temporary",
        }
    return kind(**fields)


def stored_state(dsn: str) -> State:
    """All tables."""
    with psycopg.connect(dsn) as connection:

        def table(columns: LiteralString, name: LiteralString, keys: int) -> dict[Any, tuple[Any, ...]]:
            rows = connection.execute(f"SELECT {columns} FROM mailriver.{name}")
            return {row[0] if keys == 1 else row[:keys]: row[keys:] for row in rows}

        return State(
            recipients={key: Row(*row) for key, row in stored_rows(dsn).items()},
            failures=table(_FAILURES, "email_recipient_failures", 1),
            emails=table(_EMAILS, "emails", 1),
            members=table(_MEMBERS, "members", 1),
            complaints=table(_COMPLAINTS, "email_spam_complaint_events", 2),
            suppressions=table(_SUPPRESSIONS, "suppressions", 1),
            suppression_members=set(table("email, member_id", "suppression_members", 2)),
            unsubscriptions=table(_UNSUBSCRIPTIONS, "email_unsubscribe_events", 2),
            subscriptions=set(table("member_id, newsletter_id", "members_newsletters", 2)),
        )


_OCCURRED: LiteralString = "(extract(epoch FROM occurred_at) * 1000)::bigint"
_FAILURES: LiteralString = (
    "email_recipient_id, email_id, member_id, severity, code, enhanced_code, message, "
    "(extract(epoch FROM failed_at) * 1000)::bigint, event_id"
)
_EMAILS: LiteralString = "id, recipient_count, delivered_count, opened_count, clicked_count, failed_count"
_MEMBERS: LiteralString = (
    "id, email_disabled, (extract(epoch FROM last_seen_at) * 1000)::bigint, email_count, email_opened_count, "
    "email_tracked_count, email_open_rate"
)
_COMPLAINTS: LiteralString = f"email_id, member_id, email_address, {_OCCURRED}, event_id"
_SUPPRESSIONS: LiteralString = f"email, reason, email_id, {_OCCURRED}, event_id"
_UNSUBSCRIPTIONS: LiteralString = f"event_id, {_OCCURRED}, email_id, member_id, newsletter_id"
