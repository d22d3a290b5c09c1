"""What the tables promise to the application that fills them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.support.storage import seed

pytestmark = pytest.mark.integration


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    seed(database_url, ["r1", "r2"])
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM mailriver.{table}").fetchone()
    assert row is not None
    return int(row[0])


def test_deleting_an_email_deletes_its_recipients_batches_and_failures(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO mailriver.email_batches (id, email_id) VALUES ('b1', 'e1')")
    connection.execute(
        "INSERT INTO mailriver.email_recipient_failures "
        "(email_recipient_id, email_id, severity, message, failed_at, event_id) "
        "VALUES ('r1', 'e1', 'permanent', 'Error', now(), 'f')"
    )
    connection.execute("DELETE FROM mailriver.emails WHERE id = 'e1'")
    for table in ("email_recipients", "email_batches", "email_recipient_failures"):
        assert count(connection, table) == 0


def test_deleting_a_member_deletes_its_subscriptions_and_leaves_recipients(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO mailriver.members (id, email) VALUES ('m-r1', 'r1@example.com')")
    connection.execute("INSERT INTO mailriver.members_newsletters (member_id, newsletter_id) VALUES ('m-r1', 'n1')")
    connection.execute("DELETE FROM mailriver.members WHERE id = 'm-r1'")
    assert count(connection, "members_newsletters") == 0
    row = connection.execute("SELECT member_id FROM mailriver.email_recipients WHERE id = 'r1'").fetchone()
    assert row == ("m-r1",)


def test_an_address_is_once_in_an_email_without_case(connection: psycopg.Connection) -> None:
    with pytest.raises(errors.UniqueViolation):
        connection.execute(
            "INSERT INTO mailriver.email_recipients (id, email_id, member_email) VALUES ('r9', 'e1', 'R1@EXAMPLE.com')"
        )


@pytest.mark.drifts  # counters of no recipients
@pytest.mark.parametrize(
    ("tracked", "opened", "rate"),
    [(4, 4, None), (5, 0, 0), (8, 1, 13), (40, 1, 3), (200, 1, 1), (200, 3, 2), (7, 7, 100)],
)
def test_the_open_rate_rounds_halves_up_from_five_tracked_on(
    connection: psycopg.Connection, tracked: int, opened: int, rate: int | None
) -> None:
    row = connection.execute(
        "INSERT INTO mailriver.members (id, email, email_tracked_count, email_tracked_opened_count) "
        "VALUES ('m', 'm@example.com', %s, %s) RETURNING email_open_rate",
        (tracked, opened),
    ).fetchone()
    assert row == (rate,)
