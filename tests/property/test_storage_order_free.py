"""Whatever the order, the repetition and the cut into batches, Postgres holds what the definition says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contracts.events import TYPED_EVENTS, EmailEvent
from services.contracts.reasons import StorageResult
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.outcomes import RECIPIENT_GONE
from tests.support import definition
from tests.support.storage import NOON, event, received, seed, stored_offsets, stored_rows, stored_totals

RECIPIENTS = ["r1", "r2", "R3"]

# Few values, so that recipients, times and ids clash; two of the times are in one millisecond.
EVENTS = st.builds(
    event,
    st.sampled_from(TYPED_EVENTS),
    st.sampled_from([*RECIPIENTS, "gone"]),
    st.sampled_from([NOON, NOON + 1, NOON + 1000, NOON + 2999]),
    event_id=st.sampled_from(["a", "B", "é"]),
    loop=st.sampled_from(["latest", "missing"]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[EmailEvent]]:
    """A set of events, some of them several times, in any order, cut into batches."""
    once = draw(st.lists(EVENTS, min_size=1, max_size=12))
    again = draw(st.lists(st.sampled_from(once), max_size=8))
    shuffled = draw(st.permutations([*once, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=4)))
    return [shuffled[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True) if begin < end]


@pytest.mark.integration
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=deliveries())
def test_the_state_and_its_accounting_are_those_of_the_definition(
    database_url: str, batches: list[list[EmailEvent]]
) -> None:
    seed(database_url, RECIPIENTS)
    totals_before = sum(stored_totals(database_url).values())
    first_offset = stored_offsets(database_url).get(0, 0)
    store = PostgresStore(database_url, "email.events")
    before: list[EmailEvent] = []
    for batch in batches:
        applied = store.apply(received(batch, first_offset=first_offset + len(before)))
        changed = {
            place
            for place, verdict in enumerate(applied.verdicts)
            if verdict and verdict.result is StorageResult.CHANGED
        }
        live = [each for each in before if each.recipient_id in RECIPIENTS]
        gone = {place for place, each in enumerate(batch) if each.recipient_id not in RECIPIENTS}
        assert changed == definition.changed(live, batch) - gone
        assert {i for i, verdict in enumerate(applied.verdicts) if verdict == RECIPIENT_GONE} == {
            place for place in gone if batch[place].event_type not in ("unsubscribed", "complained")
        }
        before += batch
    store.close()
    assert stored_rows(database_url) == definition.recipient_rows(RECIPIENTS, before)
    assert stored_offsets(database_url) == {0: first_offset + len(before)}
    assert sum(stored_totals(database_url).values()) == totals_before + len(before)
