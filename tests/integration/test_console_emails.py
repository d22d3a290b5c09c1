"""The console's emails on a real Postgres: lists, pages, odd ids, an outage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from services.console.adapters import emails as adapter
from services.console.adapters.emails import EmailsSource
from services.console.api import emails as api
from tests.support.database_proxy import DatabaseProxy
from tests.support.servers import PostgresServer
from tests.support.storage import empty_database

pytestmark = pytest.mark.integration

MANY = 100_000


@pytest.fixture
def application(database_url: str) -> Iterator[psycopg.Connection]:
    """What the sending application and storage write."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def client(database_url: str) -> Iterator[TestClient]:
    source = EmailsSource(database_url)
    yield TestClient(Starlette(routes=api.routes(source)))
    source.close()


def got(client: TestClient, path: str, **query: Any) -> dict[str, Any]:
    """The answer, which must be a good one."""
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def all_pages(client: TestClient, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
    """The entries of all pages of a list."""
    entries: list[dict[str, Any]] = []
    page = got(client, path, **query)
    while page["next"] is not None:
        entries += page[name]
        page = got(client, path, **query, after=page["next"])
    entries += page[name]
    return entries


def add_email(connection: psycopg.Connection, email_id: str, minute: int = 0, newsletter: str | None = "n") -> None:
    """An email that was submitted so many minutes after noon."""
    connection.execute(
        "INSERT INTO mailriver.emails (id, newsletter_id, subject, submitted_at) "
        "VALUES (%s, %s, 'News', timestamptz '2026-01-01 12:00:00.1239Z' + %s * interval '1 minute')",
        (email_id, newsletter, minute),
    )


def add_recipients(connection: psycopg.Connection, email_id: str, batch: str | None, names: str) -> None:
    """A recipient for each letter of ``names``."""
    connection.execute(
        "INSERT INTO mailriver.email_recipients (id, email_id, batch_id, member_id, member_email) "
        "SELECT %(email)s || '-' || name, %(email)s, %(batch)s, 'm-' || name, name || '@example.com' "
        "FROM unnest(%(names)s::text[]) AS given (name)",
        {"email": email_id, "batch": batch, "names": list(names)},
    )


def add_failures(connection: psycopg.Connection, email_id: str, severity: str, names: str) -> None:
    """A failure for each letter of ``names``."""
    connection.execute(
        "INSERT INTO mailriver.email_recipient_failures "
        "SELECT %(email)s || '-' || name, %(email)s, 'm-' || name, %(severity)s, 550, '5.1.1', 'No such user', "
        "'2026-01-01 13:00:00.5Z', 'event-' || name FROM unnest(%(names)s::text[]) AS given (name)",
        {"email": email_id, "severity": severity, "names": list(names)},
    )


def test_no_emails(client: TestClient) -> None:
    assert got(client, "/api/emails") == {"emails": [], "next": None}


def test_emails_are_listed_newest_first_page_by_page(client: TestClient, application: psycopg.Connection) -> None:
    """Those of one instant by id; the counts are the stored ones."""
    for number in range(7):
        add_email(application, f"e{number}", minute=number // 3, newsletter=None if number == 6 else "n")
    add_recipients(application, "e6", None, "abc")
    application.execute("UPDATE mailriver.email_recipients SET opened_at = now() WHERE id = 'e6-a'")
    for limit in (1, 2, 3, 7, 1000, 5000):
        entries = all_pages(client, "/api/emails", "emails", limit=limit)
        assert [entry["id"] for entry in entries] == ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]
    newest = {
        "id": "e6",
        "subject": "News",
        "newsletter_id": None,
        "submitted_at": "2026-01-01T12:02:00.124Z",
        "recipients": 3,
        "delivered": 0,
        "opened": 1,
        "clicked": 0,
        "failed": 0,
    }
    assert got(client, "/api/emails", limit=1)["emails"] == [newest]
    assert got(client, "/api/emails/e6") == newest


@pytest.mark.drifts  # failures alone, without what comes with them
def test_failures_by_severity_with_the_recipients_address(client: TestClient, application: psycopg.Connection) -> None:
    add_email(application, "e1")
    add_recipients(application, "e1", None, "abcdefg")
    add_failures(application, "e1", "permanent", "bdf")
    add_failures(application, "e1", "temporary", "ace")
    path = "/api/emails/e1/failures"
    for limit in (1, 2, 100):
        for severity, names in ({"permanent": "bdf", "temporary": "ace"}).items():
            entries = all_pages(client, path, "failures", limit=limit, severity=severity)
            assert [entry["recipient_id"] for entry in entries] == [f"e1-{name}" for name in names]
        assert [entry["recipient_id"] for entry in all_pages(client, path, "failures", limit=limit)] == [
            f"e1-{name}" for name in "abcdef"
        ]
    assert got(client, path, limit=1, severity="permanent")["failures"] == [
        {
            "recipient_id": "e1-b",
            "member_id": "m-b",
            "email": "b@example.com",
            "severity": "permanent",
            "code": 550,
            "enhanced_code": "5.1.1",
            "message": "No such user",
            "failed_at": "2026-01-01T13:00:00.500Z",
            "event_id": "event-b",
        }
    ]


@pytest.mark.drifts  # failures alone, without what comes with them
def test_batches_count_their_recipients_and_those_in_none_come_last(
    client: TestClient, application: psycopg.Connection
) -> None:
    """Also those whose batch is not there."""
    for email_id in ("e1", "e2"):
        add_email(application, email_id)
    application.execute(
        "INSERT INTO mailriver.email_batches VALUES ('b1', 'e1', 'p1@mg'), ('b2', 'e1', NULL), ('b3', 'e2', 'p3@mg')"
    )
    add_recipients(application, "e1", "b1", "abc")
    add_recipients(application, "e1", None, "d")
    add_recipients(application, "e1", "gone", "e")
    application.execute(
        "UPDATE mailriver.email_recipients SET clicked_at = now(), first_delivered_at = now() WHERE id = 'e1-a'"
    )
    application.execute("UPDATE mailriver.email_recipients SET failed_at = now() WHERE id = 'e1-e'")
    counts = ("recipients", "delivered", "opened", "clicked", "failed")
    for limit in (1, 2, 3, 100):
        entries = all_pages(client, "/api/emails/e1/batches", "batches", limit=limit)
        assert [(entry["id"], entry["provider_id"], *(entry[name] for name in counts)) for entry in entries] == [
            ("b1", "p1@mg", 3, 1, 0, 1, 0),
            ("b2", None, 0, 0, 0, 0, 0),
            (None, None, 2, 0, 0, 0, 1),
        ]
    assert [entry["id"] for entry in got(client, "/api/emails/e2/batches")["batches"]] == ["b3"]


@pytest.mark.parametrize("email_id", ["a/b", "100%", "ü\u2028", "a b", "?x=1#y", ".", "e1'; --", "x" * 3000])
def test_an_odd_id_is_found(client: TestClient, application: psycopg.Connection, email_id: str) -> None:
    add_email(application, email_id)
    path = f"/api/emails/{quote(email_id, safe='')}" if email_id != "." else "/api/emails/%2E"
    assert got(client, path)["id"] == email_id
    assert got(client, f"{path}/failures") == {"failures": [], "next": None}
    assert got(client, f"{path}/batches") == {"batches": [], "next": None}


@pytest.mark.parametrize("path", ["nobody", "a%00b", "%ED%A0%80", "%FF", "a%2Fb/c", "%F0%9F%98%80"])
def test_an_unknown_email(client: TestClient, path: str) -> None:
    for suffix in ("", "/failures", "/batches"):
        response = client.get(f"/api/emails/{path}{suffix}")
        assert response.status_code == 404
        assert "there is no email" in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("", {"limit": "0"}, "limit"),
        ("", {"limit": "many"}, "limit"),
        ("", {"after": "x"}, "after"),
        ("", {"after": ""}, "after"),
        ("", {"after": "\0"}, "after"),
        ("/e1/failures", {"severity": "fatal"}, "severity"),
        ("/e1/batches", {"after": "A" * 5000}, "after"),
    ],
)
def test_a_wrong_question_is_refused(client: TestClient, path: str, query: dict[str, str], says: str) -> None:
    response = client.get(f"/api/emails{path}", params=query)
    assert response.status_code == 422
    assert response.json()["error"].startswith(says)


@pytest.mark.drifts  # failures alone, without what comes with them
def test_a_cursor_of_another_list_or_changed_is_refused(client: TestClient, application: psycopg.Connection) -> None:
    for number in range(3):
        add_email(application, f"e{number}")
    add_recipients(application, "e1", None, "ab")
    add_failures(application, "e1", "permanent", "ab")
    cursor = got(client, "/api/emails", limit=1)["next"]
    assert client.get("/api/emails/e1/failures", params={"after": cursor}).status_code == 422
    for at in range(len(cursor)):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        assert client.get("/api/emails", params={"after": changed}).status_code == 422, changed


def test_an_outage_is_told_and_over_when_it_is_over(database_url: str, application: psycopg.Connection) -> None:
    add_email(application, "e1")
    proxy = DatabaseProxy(database_url)
    source = EmailsSource(proxy.dsn)
    client = TestClient(Starlette(routes=api.routes(source)))
    try:
        for _ in range(2):
            assert "the database does not answer" in client.get("/api/emails").json()["error"]
            assert client.get("/api/emails/e1/failures").status_code == 503
            proxy.up()
            assert [entry["id"] for entry in got(client, "/api/emails")["emails"]] == ["e1"]
            proxy.down()
    finally:
        source.close()
        proxy.down()


def test_a_database_without_tables_says_what_to_do(postgres: PostgresServer) -> None:
    with empty_database(postgres.dsn) as dsn:
        source = EmailsSource(dsn)
        response = TestClient(Starlette(routes=api.routes(source))).get("/api/emails")
        source.close()
    assert response.status_code == 503
    assert "mailriver migrate" in response.json()["error"]


def test_the_console_can_write_nothing(database_url: str) -> None:
    source = EmailsSource(database_url)
    with source._pool.connection() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM mailriver.emails")
    source.close()


def test_the_snapshot_is_the_newest(database_url: str, application: psycopg.Connection) -> None:
    for number in range(60):
        add_email(application, f"e{number:02}", minute=number)
    source = EmailsSource(database_url)
    assert [email.id for email in source.snapshot()] == [f"e{number:02}" for number in range(59, 9, -1)]
    source.close()


def test_lists_walk_an_index(application: psycopg.Connection) -> None:
    """Nothing is sorted and no table is read whole, however large it is."""
    application.execute(
        "INSERT INTO mailriver.emails (id, subject, submitted_at) "
        "SELECT 'e' || i, 'News', timestamptz '2026-01-01Z' + i * interval '1 s' FROM generate_series(1, %s) AS i",
        (MANY,),
    )
    application.execute(
        "INSERT INTO mailriver.email_batches "
        "SELECT 'b' || i, 'e' || (1 + i %% 999), 'p' || i FROM generate_series(1, %s) AS i",
        (MANY,),
    )
    application.execute(
        "INSERT INTO mailriver.email_recipients (id, email_id, batch_id, member_email) "
        "SELECT 'r' || i, 'e' || (1 + i %% 999), 'b' || i, i || '@example.com' FROM generate_series(1, %s) AS i",
        (MANY,),
    )
    application.execute(
        "INSERT INTO mailriver.email_recipient_failures (email_recipient_id, email_id, severity, message, failed_at, "
        "event_id) SELECT 'r' || i, 'e' || (1 + i %% 999), 'temporary', 'x', now(), 'v' FROM generate_series(1, %s) i",
        (MANY,),
    )
    application.execute("ANALYZE mailriver.emails, mailriver.email_batches, mailriver.email_recipients")
    application.execute("ANALYZE mailriver.email_recipient_failures")
    asked = {"id": "e7", "email": "e7", "after": "", "limit": 101, "submitted_at": "2026-01-02T00:00:00Z"}
    asked["severities"] = ["permanent", "temporary"]
    for statement in (adapter.NEWEST, adapter.OLDER, adapter.EMAIL, adapter.FAILURES, adapter.BATCHES):
        plan = "\n".join(row[0] for row in application.execute("EXPLAIN (COSTS OFF) " + statement, asked))
        assert "Seq Scan" not in plan, plan
        if "emails e" in statement:
            assert "Sort" not in plan, plan
