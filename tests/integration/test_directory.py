"""The recipient directory against a real Postgres."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import psycopg
import pytest

from services.processor.adapters.directory import FIND_RECIPIENTS, PostgresDirectory
from services.processor.core.resolve import Lookup, Recipient, Unmatched
from services.runtime.errors import Transient
from tests.support.directory import add_email, add_recipient

pytestmark = pytest.mark.integration

ALICE = Recipient("r1", "e1", "m1", "alice@example.com")
UNICODE = "jürgen@bücher.example"
PUNYCODE = "jürgen@xn--bcher-kva.example"


@pytest.fixture
def application(database_url: str) -> Iterator[psycopg.Connection]:
    """What the sending application does: an email with Alice among its recipients."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_email(connection, "e1", provider_id="sent-1@mg.example.com")
        add_recipient(connection, "r1", "e1", "alice@example.com", member_id="m1")
        yield connection


@pytest.fixture
def directory(database_url: str, application: psycopg.Connection) -> Iterator[PostgresDirectory]:
    """The directory on the application's database."""
    directory = PostgresDirectory(database_url)
    yield directory
    directory.close()


def resolution_of(directory: PostgresDirectory, lookup: Lookup) -> Recipient | Unmatched:
    """The answer to one lookup."""
    (resolution,) = directory.find([lookup]).resolutions
    return resolution


@pytest.mark.parametrize(
    "lookup",
    [
        Lookup("e1", None, "alice@example.com"),
        Lookup(None, "sent-1@mg.example.com", "alice@example.com"),
        Lookup("e1", "sent-1@mg.example.com", "alice@example.com"),
        Lookup("no-such-email", "sent-1@mg.example.com", "alice@example.com"),
    ],
)
def test_a_recipient_is_found_by_email_id_and_else_by_message_id(directory: PostgresDirectory, lookup: Lookup) -> None:
    assert resolution_of(directory, lookup) == ALICE


@pytest.mark.parametrize(
    "lookup",
    [
        Lookup("e1", None, "bob@example.com"),
        Lookup("e2", None, "alice@example.com"),
        Lookup(None, "<sent-1@mg.example.com>", "alice@example.com"),
        Lookup(None, None, "alice@example.com"),
        Lookup("e1", None, "alice@example.com\0"),
        Lookup("e1", None, "alic\ud800@example.com"),
        Lookup("e1\0", "\ud800", "alice@example.com"),
        pytest.param(Lookup("e1", None, "x" * 100_000 + "@example.com"), id="a very long address"),
    ],
)
def test_nobody_is_found_where_no_row_has_the_key(directory: PostgresDirectory, lookup: Lookup) -> None:
    assert resolution_of(directory, lookup) is Unmatched.NOBODY


def test_the_email_id_goes_before_the_message_id(directory: PostgresDirectory, application: psycopg.Connection) -> None:
    add_email(application, "e2", provider_id="sent-2@mg.example.com")
    add_recipient(application, "r2", "e2", "alice@example.com")

    found = resolution_of(directory, Lookup("e1", "sent-2@mg.example.com", "alice@example.com"))

    assert found == ALICE


def test_a_recipient_without_member_is_found(directory: PostgresDirectory, application: psycopg.Connection) -> None:
    add_recipient(application, "r2", "e1", "bob@example.com")

    found = resolution_of(directory, Lookup("e1", None, "bob@example.com"))

    assert found == Recipient("r2", "e1", None, "bob@example.com")


@pytest.mark.parametrize(
    ("stored", "received"),
    [
        ("Alice.B@Example.com", "alice.b@example.com"),
        ("a.b@example.com", "A.B@EXAMPLE.com"),
        (UNICODE, PUNYCODE),
        (PUNYCODE, UNICODE),
        (UNICODE.upper(), PUNYCODE),
        (unicodedata.normalize("NFD", UNICODE), UNICODE),
        (UNICODE, unicodedata.normalize("NFD", UNICODE)),
        (unicodedata.normalize("NFD", UNICODE), PUNYCODE),
        ("bob@bücher.example", "bob@XN--BCHER-KVA.example"),
        ("ΝΙΚΟΣ@example.com", "ΝΙΚΟΣ@example.com"),
    ],
)
def test_an_address_is_found_in_whatever_spelling_the_row_has_it(
    directory: PostgresDirectory, application: psycopg.Connection, stored: str, received: str
) -> None:
    add_recipient(application, "r2", "e1", stored)

    found = resolution_of(directory, Lookup("e1", None, received))

    assert found == Recipient("r2", "e1", None, stored)


def test_two_rows_with_one_address_in_two_spellings_are_no_answer(
    directory: PostgresDirectory, application: psycopg.Connection
) -> None:
    add_recipient(application, "r2", "e1", UNICODE)
    add_recipient(application, "r3", "e1", PUNYCODE)

    assert resolution_of(directory, Lookup("e1", None, UNICODE)) is Unmatched.SEVERAL


def test_hits_are_remembered_and_misses_are_asked_again(
    directory: PostgresDirectory, application: psycopg.Connection
) -> None:
    lookups = [Lookup("e1", None, "alice@example.com"), Lookup("e1", None, "bob@example.com")]
    first = directory.find([*lookups, lookups[1]])
    add_recipient(application, "r2", "e1", "bob@example.com")
    second = directory.find(lookups)

    assert (first.cached, first.asked, first.unmatched) == (0, 2, 1)
    assert first.resolutions == [ALICE, Unmatched.NOBODY, Unmatched.NOBODY]
    assert (second.cached, second.asked, second.unmatched) == (1, 1, 0)
    assert second.resolutions == [ALICE, Recipient("r2", "e1", None, "bob@example.com")]


def test_no_more_than_the_bound_is_remembered(database_url: str, application: psycopg.Connection) -> None:
    add_recipient(application, "r2", "e1", "bob@example.com")
    directory = PostgresDirectory(database_url, cached_lookups=1)
    alice, bob = Lookup("e1", None, "alice@example.com"), Lookup("e1", None, "bob@example.com")

    asked = [directory.find([lookup]).asked for lookup in (alice, alice, bob, alice)]
    directory.close()

    assert asked == [1, 0, 1, 1]


def test_a_batch_is_answered_in_its_order(directory: PostgresDirectory, application: psycopg.Connection) -> None:
    names = [f"reader-{number:03}" for number in range(200)]
    for name in names:
        add_recipient(application, name, "e1", f"{name}@example.com")
    shuffled = sorted(names, key=lambda name: name[::-1])

    found = directory.find([Lookup("e1", None, f"{name}@example.com") for name in shuffled])

    assert [isinstance(each, Recipient) and each.recipient_id for each in found.resolutions] == shuffled


def test_an_empty_batch_needs_no_database() -> None:
    directory = PostgresDirectory("host=127.0.0.1 port=1")

    assert directory.find([]).resolutions == []


def test_a_database_that_is_away_is_transient() -> None:
    directory = PostgresDirectory("host=127.0.0.1 port=1 connect_timeout=2")

    with pytest.raises(Transient):
        directory.find([Lookup("e1", None, "alice@example.com")])


def test_a_lost_connection_is_transient_and_the_next_batch_opens_another(
    directory: PostgresDirectory, application: psycopg.Connection
) -> None:
    bob = Lookup("e1", None, "bob@example.com")
    directory.find([bob])
    application.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'mailriver-processor'"
    )

    with pytest.raises(Transient):
        directory.find([bob])
    assert directory.find([bob]).resolutions == [Unmatched.NOBODY]


@pytest.mark.drifts  # there is nothing left to audit
def test_a_database_without_the_tables_is_waited_for_and_the_error_holds_no_address(
    directory: PostgresDirectory, application: psycopg.Connection
) -> None:
    application.execute("DROP SCHEMA mailriver CASCADE")

    with pytest.raises(Transient, match="mailriver migrate") as raised:
        directory.find([Lookup("e1", None, "alice@example.com")])

    assert "alice" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_large_table_is_probed_by_its_indexes_whatever_the_planner_knows(
    application: psycopg.Connection, *, analyzed: bool
) -> None:
    """A hash join or a scan would read the whole table for each batch."""
    application.execute(
        "INSERT INTO mailriver.email_recipients (id, email_id, member_email)"
        " SELECT 'many-' || n, 'e1', 'reader-' || n || '@example.net' FROM generate_series(1, 100000) n"
    )
    if analyzed:
        application.execute("ANALYZE mailriver.email_recipients")
    count = 10_000
    keys = (
        ["e1", None] * (count // 2),
        [None, "sent-1@mg.example.com"] * (count // 2),
        [f"reader-{number * 7}@example.net" for number in range(1, count + 1)],
    )

    plan = "\n".join(line for (line,) in application.execute(b"EXPLAIN " + FIND_RECIPIENTS, keys, prepare=False))

    assert len(re.findall(r"Index Scan (?:using|on) email_recipients_by_address", plan)) == 2
    assert "Hash" not in plan
    assert "Seq Scan on email_recipients" not in plan
