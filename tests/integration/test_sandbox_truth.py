"""The comparison of the demo finds a row that is wrong, in whatever table."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from services.sandbox.newsletter import Newsletter, expected_tables, insert, plan
from services.sandbox.truth import TABLES, compare

pytestmark = [pytest.mark.integration, pytest.mark.drifts]

WRONG = {
    "email_recipients": "UPDATE mailriver.email_recipients SET opened_at = now() WHERE id = %(recipient)s",
    "email_recipient_failures": "INSERT INTO mailriver.email_recipient_failures "
    "VALUES (%(recipient)s, 'e', NULL, 'temporary', NULL, NULL, 'm', now(), 'i')",
    "email_spam_complaint_events": "INSERT INTO mailriver.email_spam_complaint_events "
    "VALUES ('e', 'm', 'a', now(), 'i')",
    "email_unsubscribe_events": "INSERT INTO mailriver.email_unsubscribe_events VALUES ('i', now(), 'e', 'm', NULL)",
    "suppressions": "INSERT INTO mailriver.suppressions VALUES ('a', 'spam', 'e', now(), 'i')",
    "suppression_members": "INSERT INTO mailriver.suppression_members VALUES ('a', 'm')",
    "members_newsletters": "DELETE FROM mailriver.members_newsletters WHERE member_id = %(member)s",
    "members": "UPDATE mailriver.members SET email_disabled = true WHERE id = %(member)s",
    "emails": "UPDATE mailriver.emails SET clicked_count = 1",
    "email_batches": "UPDATE mailriver.email_batches SET provider_id = NULL",
}


def newsletter() -> Newsletter:
    """To ten people, and nothing has happened."""
    planned = plan(10, seed=5, start=1_787_220_000.0, duration_seconds=5, late_seconds=1, domain="mg.example.com")
    return msgspec.structs.replace(planned, events=[])


def test_rows_as_they_were_inserted_agree_where_nothing_has_happened(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        insert(newsletter(), connection)
        comparison = compare(connection, expected_tables(newsletter()))
    assert (comparison.compared, comparison.different, comparison.examples) == (32, 0, [])


def test_no_table_is_left_out() -> None:
    assert WRONG.keys() == TABLES.keys()


@pytest.mark.parametrize("table", WRONG)
def test_a_wrong_row_is_found_and_shown(table: str, database_url: str) -> None:
    sent = newsletter()
    with psycopg.connect(database_url) as connection:
        insert(sent, connection)
        # Past the triggers, so that nothing else changes by it.
        connection.execute("SELECT set_config('mailriver.writer', 'storage', true)")
        values = {"recipient": sent.recipient_id(3), "member": sent.member_id(3)}
        connection.execute(WRONG[table].encode(), values)
        comparison = compare(connection, expected_tables(sent))
    assert comparison.different == 1
    assert comparison.examples[0].startswith(f"{table} (")
