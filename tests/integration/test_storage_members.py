"""What events mean for members, with an application that changes its rows in between."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from services.contracts.events import EmailBounced, EmailOpened, EmailUnsubscribed, SpamComplaint
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.outcomes import CHANGED, NOTHING, RECIPIENT_GONE
from tests.support.storage import NOON, bounced, event, received
from tests.support.world import NOON_MILLIS, WORLD, fill, stored_state, told_of

pytestmark = pytest.mark.integration


@pytest.fixture
def application(database_url: str) -> Iterator[psycopg.Connection]:
    fill(database_url, WORLD)
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def store(database_url: str, application: psycopg.Connection) -> Iterator[PostgresStore]:
    store = PostgresStore(database_url, "email.events")
    yield store
    store.close()


COMPLAINT = told_of(SpamComplaint, "r1", NOON, nth=1, loop="latest")
SUPPRESSED_BOUNCE = told_of(EmailBounced, "r1", NOON + 5000, nth=0, loop="latest")
UNSUBSCRIPTION = told_of(EmailUnsubscribed, "r1", NOON + 2000, nth=0, loop="latest")


def disabled(connection: psycopg.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT id FROM mailriver.members WHERE email_disabled")}


def test_a_replay_does_not_disable_a_member_again_that_somebody_enabled(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    store.apply(received([COMPLAINT]))
    assert disabled(application) == {"m1"}
    application.execute("UPDATE mailriver.members SET email_disabled = false")
    again = store.apply(received([COMPLAINT, SUPPRESSED_BOUNCE]))
    assert disabled(application) == set()
    assert again.verdicts == [NOTHING, CHANGED]
    assert set(stored_state(database_url).suppressions) == {"ann@example.com"}


def test_each_member_of_a_suppressed_address_is_disabled(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    same_address = told_of(SpamComplaint, "r4", NOON + 9000, nth=0, loop="latest")
    store.apply(received([COMPLAINT]))
    assert store.apply(received([same_address], first_offset=1)).verdicts == [CHANGED]
    assert disabled(application) == {"m1", "m2"}
    assert stored_state(database_url).suppressions["ann@example.com"][2] == NOON_MILLIS


def test_a_second_address_of_a_member_disables_it_once_more(
    store: PostgresStore, application: psycopg.Connection
) -> None:
    store.apply(received([COMPLAINT]))
    application.execute("UPDATE mailriver.members SET email_disabled = false")
    store.apply(received([told_of(SpamComplaint, "s1", NOON, nth=0, loop="latest")], first_offset=1))
    assert disabled(application) == {"m1"}


def test_neither_a_replay_nor_a_late_event_undoes_a_later_subscription(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    store.apply(received([UNSUBSCRIPTION]))
    assert ("m1", "n1") not in stored_state(database_url).subscriptions
    application.execute("INSERT INTO mailriver.members_newsletters VALUES ('m1', 'n1', NULL)")
    assert store.apply(received([UNSUBSCRIPTION])).verdicts == [NOTHING]
    assert ("m1", "n1") in stored_state(database_url).subscriptions
    application.execute("UPDATE mailriver.members_newsletters SET subscribed_at = now()")
    late = msgspec.structs.replace(UNSUBSCRIPTION, event_id="late")
    assert store.apply(received([late], first_offset=1)).verdicts == [CHANGED]
    assert ("m1", "n1") in stored_state(database_url).subscriptions


def test_last_seen_never_moves_back_whoever_wrote_it(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    application.execute("UPDATE mailriver.members SET last_seen_at = '2030-01-01Z' WHERE id = 'm1'")
    store.apply(received([told_of(EmailOpened, "r1", NOON, nth=0, loop="latest")]))
    store.apply(received([told_of(EmailOpened, "r2", NOON + 9000, nth=0, loop="latest")], first_offset=1))
    store.apply(received([told_of(EmailOpened, "r2", NOON, nth=0, loop="latest")], first_offset=2))
    members = stored_state(database_url).members
    assert members["m1"][1] == 1_893_456_000_000
    assert members["m2"][1] == NOON_MILLIS + 9


def test_without_email_and_member_everything_is_still_recorded_as_far_as_it_can_be(
    store: PostgresStore, application: psycopg.Connection, database_url: str
) -> None:
    application.execute("DELETE FROM mailriver.emails")
    application.execute("DELETE FROM mailriver.members WHERE id = 'm1'")
    opened = told_of(EmailOpened, "r2", NOON, nth=0, loop="latest")
    applied = store.apply(received([UNSUBSCRIPTION, COMPLAINT, SUPPRESSED_BOUNCE, opened]))
    assert applied.verdicts == [CHANGED, CHANGED, RECIPIENT_GONE, RECIPIENT_GONE]
    state = stored_state(database_url)
    assert list(state.unsubscriptions.values()) == [("e1", "m1", None)]
    assert set(state.complaints) == {("e1", "m1")}
    assert set(state.suppressions) == {"ann@example.com"}
    assert state.suppression_members == set()
    assert state.failures == {}
    assert state.members["m2"][1] == NOON_MILLIS


def test_texts_that_postgres_cannot_hold_never_poison_their_event(store: PostgresStore, database_url: str) -> None:
    monster = "é\0\ud800" + "".join(chr(0x4E00 + (i * 7919) % 20_000) for i in range(10_000))
    events = [
        msgspec.structs.replace(bounced("r1"), message=monster, enhanced_code=monster, event_id=monster),
        *(
            msgspec.structs.replace(event(kind, "r2"), event_id=monster, member_id=member_id, email_id="e1\0")
            for kind in (SpamComplaint, EmailUnsubscribed, EmailOpened)
            for member_id in ("m\0", None, "m2")
        ),
    ]
    assert store.apply(received(events)).poisoned == []
    state = stored_state(database_url)
    assert len(state.failures["r1"][5]) == 2_000
    assert len(state.unsubscriptions) == 1
    assert set(state.complaints) == {("e1", "m2")}
