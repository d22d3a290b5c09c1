"""The newsletter's rows in a real database."""

from __future__ import annotations

import psycopg
import pytest

from services.sandbox.newsletter import first_to_be_seen, insert, insert_recipients, plan

pytestmark = pytest.mark.integration

TABLES = ("newsletters", "members", "members_newsletters", "emails", "email_batches", "email_recipients")


def counts(connection: psycopg.Connection) -> list[int]:
    found = [connection.execute(f"SELECT count(*) FROM mailriver.{table}".encode()).fetchone() for table in TABLES]
    return [row[0] for row in found if row is not None]


def test_the_rows_of_two_newsletters_are_inserted_and_a_few_of_them_later(database_url: str) -> None:
    newsletter, other = (
        plan(1500, seed=seed, start=1_787_220_000.0, duration_seconds=60, late_seconds=1, domain="mg.example.com")
        for seed in (1, 2)
    )
    held = first_to_be_seen(newsletter, 5)
    with psycopg.connect(database_url) as connection:
        insert(newsletter, connection, without=held.numbers)
        assert counts(connection) == [1, 1500, 1500, 1, 2, 1495]
        insert_recipients(newsletter, connection, held.numbers)
        insert(other, connection)
        assert counts(connection) == [2, 3000, 3000, 2, 4, 3000]
        rows = connection.execute(
            "SELECT member_email, provider_id FROM mailriver.email_recipients r"
            " JOIN mailriver.email_batches b ON b.id = r.batch_id WHERE r.id = %s",
            [newsletter.recipient_id(1499)],
        ).fetchall()
    assert rows == [(newsletter.address(1499), newsletter.message_id(1499))]
