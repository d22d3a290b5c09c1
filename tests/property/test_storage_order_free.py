"""Whatever the order, the repetition, the cut into batches and the crashes, Postgres holds what the definition says.

Hundreds of examples; thousands with ``pytest --hypothesis-profile=thousands``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contracts.events import TYPED_EVENTS, EmailEvent
from services.contracts.reasons import StorageResult
from services.storage.adapters.postgres import PostgresStore
from services.storage.core.outcomes import RECIPIENT_GONE
from tests.support import definition
from tests.support.counters import drifted
from tests.support.storage import NOON, received, stored_offsets, stored_totals
from tests.support.world import GONE, WORLD, fill, stored_state, told_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]  # thousands take their time

by_hundreds = settings(
    max_examples=max(200, settings.default.max_examples if settings.default else 0),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

RECIPIENTS = [each for each in (*WORLD.recipients, *GONE) if not each.startswith("s")] + ["s1"]


@st.composite
def happenings(draw: st.DrawFn) -> list[EmailEvent]:
    """A set of events. Few values, so that recipients, times and ids clash; two of the times are in one millisecond."""
    # Often of few types and recipients, so that ties are not as rare as among all of them.
    kinds = draw(st.lists(st.sampled_from(TYPED_EVENTS), min_size=1, max_size=7, unique=True))
    recipients = draw(st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=9, unique=True))
    events = st.builds(
        told_of,
        st.sampled_from(kinds),
        st.sampled_from(recipients),
        st.sampled_from([NOON, NOON + 1, NOON + 1000, NOON + 2999]),
        nth=st.sampled_from(range(3)),
        loop=st.sampled_from(["latest", "missing"]),
    )
    return draw(st.lists(events, min_size=1, max_size=14))


@st.composite
def batches(draw: st.DrawFn, events: list[EmailEvent]) -> list[list[EmailEvent]]:
    """The events, some of them several times, in any order, cut into batches."""
    again = draw(st.lists(st.sampled_from(events), max_size=8))
    shuffled = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=4)))
    return [shuffled[begin:end] for begin, end in pairwise([0, *cuts, len(shuffled)]) if begin < end]


@st.composite
def consumers(draw: st.DrawFn) -> list[list[tuple[list[EmailEvent], bool]]]:
    """For each of one to three consumers its batches, and whether it crashes after committing one to the database."""
    events = draw(happenings())
    shares = [draw(batches(events)) for _ in range(draw(st.integers(1, 3)))]
    return [[(batch, draw(st.booleans())) for batch in share] for share in shares]


@by_hundreds
@given(data=st.data())
def test_the_state_and_its_accounting_are_those_of_the_definition(database_url: str, data: st.DataObject) -> None:
    fill(database_url, WORLD)
    before: list[EmailEvent] = []
    for batch in data.draw(batches(data.draw(happenings()))):
        with closing(PostgresStore(database_url, "email.events")) as store:
            applied = store.apply(received(batch, first_offset=len(before)))
        gone = {
            place
            for place, each in enumerate(batch)
            if each.recipient_id in GONE and each.event_type not in ("unsubscribed", "complained")
        }
        changed = {
            place
            for place, verdict in enumerate(applied.verdicts)
            if verdict and verdict.result is StorageResult.CHANGED
        }
        assert changed == definition.changed(WORLD, before, batch) - gone
        assert {place for place, verdict in enumerate(applied.verdicts) if verdict == RECIPIENT_GONE} == gone
        before += batch
    assert stored_state(database_url) == definition.state(WORLD, before)
    assert drifted(database_url) == []
    assert stored_offsets(database_url) == {0: len(before)}
    assert sum(stored_totals(database_url).values()) == len(before)


@by_hundreds
@given(shares=consumers())
def test_consumers_side_by_side_that_crash_come_to_the_same_state(
    database_url: str, shares: list[list[tuple[list[EmailEvent], bool]]]
) -> None:
    fill(database_url, WORLD)
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(consume, [database_url] * len(shares), range(len(shares)), shares))
    everything = [each for share in shares for batch, _ in share for each in batch]
    assert stored_state(database_url) == definition.state(WORLD, everything)
    assert drifted(database_url) == []
    assert sum(stored_totals(database_url).values()) == len(everything)


def consume(dsn: str, partition: int, share: list[tuple[list[EmailEvent], bool]]) -> None:
    """Apply batches. After a crash a new consumer begins at the last offset committed to Kafka, with other cuts."""
    offset = 0
    for batch, crashes in share:
        with closing(PostgresStore(dsn, "email.events")) as store:
            store.apply(received(batch, partition=partition, first_offset=offset))
        if crashes:
            half = len(batch) // 2
            with closing(PostgresStore(dsn, "email.events")) as store:
                store.apply(received(batch[:half], partition=partition, first_offset=offset))
                store.apply(received(batch[half:], partition=partition, first_offset=offset + half))
        offset += len(batch)
