"""Pages of the simulated Events API: what they hold, and where their links lead."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.mailgun.events import SimulatedEvent, milliseconds
from services.sandbox.mailgun.paging import Page, page
from services.sandbox.mailgun.queries import Query, Range
from services.sandbox.mailgun.store import EventStore
from services.sandbox.mailgun.tokens import Position

T = 1_787_220_000
FOREVER = 1e12
DAY = 86_400


def event(
    at: float, name: str = "a", *, event_type: str = "delivered", visible_at: float = 0.0, payload: bytes = b"{}"
) -> SimulatedEvent:
    return SimulatedEvent(payload, at, event_type, name, visible_at)


def stored(events: Iterable[SimulatedEvent]) -> EventStore:
    store = EventStore()
    store.add(events)
    return store


def ask(
    store: EventStore,
    query: Query,
    position: Position | None = None,
    *,
    now: float = FOREVER,
    edge_ms: int = 0,
    end_inclusive: bool = False,
) -> Page:
    return page(store, query, position, now=now, edge_ms=edge_ms, end_inclusive=end_inclusive)


def ids(found: Page) -> list[str]:
    return [entry.key[1] for entry in found.entries]


def ascending(begin: float, end: float | None = None, *, limit: int = 2, types: str = "") -> Query:
    bounds = Range(round(begin * 1000), None if end is None else round(end * 1000), ascending=True)
    return Query(bounds, (("event", types),) if types else (), limit)


def test_begin_is_inclusive_and_end_is_not_unless_the_scenario_says_so() -> None:
    store = stored([event(T, "a"), event(T + 1, "b"), event(T + 2, "c")])
    query = ascending(T, T + 2, limit=10)
    assert ids(ask(store, query)) == ["a", "b"]
    assert ids(ask(store, query, end_inclusive=True)) == ["a", "b", "c"]


def test_descending_reads_the_newest_first() -> None:
    store = stored([event(T, "a"), event(T + 1, "b"), event(T + 2, "c")])
    query = Query(Range((T + 2) * 1000, T * 1000, ascending=False), (), 2)
    first = ask(store, query)
    assert ids(first) == ["c", "b"]
    assert ids(ask(store, query, first.next)) == []
    assert ids(ask(store, query, first.next, end_inclusive=True)) == ["a"]


def test_a_range_older_than_the_retention_is_clipped_silently() -> None:
    store = stored([event(T - 10, "old"), event(T, "new")])
    assert ids(ask(store, ascending(T - 20), edge_ms=(T - 5) * 1000)) == ["new"]
    down = Query(Range(T * 1000, None, ascending=False), (), 5)
    assert ids(ask(store, down, edge_ms=(T - 5) * 1000)) == ["new"]


def test_nothing_is_visible_before_its_instant_and_late_events_enter_pages_already_read() -> None:
    store = stored([event(T, "a"), event(T + 1, "late", visible_at=500.0), event(T + 2, "c"), event(T + 3, "d")])
    query = ascending(T, limit=2)
    assert ids(ask(store, query, now=499.0)) == ["a", "c"]
    assert ids(ask(store, query, now=500.0)) == ["a", "late"]


def test_an_open_range_goes_on_behind_its_empty_page() -> None:
    store = stored([event(T, "a")])
    query = ascending(T)
    empty = ask(store, query, ask(store, query).next)
    assert ids(empty) == []
    store.add([event(T + 5, "b")])
    assert ids(ask(store, query, empty.next)) == ["b"]


def test_the_last_of_all_is_empty_and_leads_back() -> None:
    store = stored(event(T + n, name) for n, name in enumerate("abc"))
    query = ascending(T, T + 10)
    first = ask(store, query)
    second = ask(store, query, first.next)
    end = ask(store, query, second.next)
    assert (ids(first), ids(second), ids(end)) == (["a", "b"], ["c"], [])
    assert ids(ask(store, query, end.previous)) == ["b", "c"]
    assert ids(ask(store, query, second.previous)) == ["a", "b"]
    assert ids(ask(store, query, second.first)) == ["a", "b"]
    assert ids(ask(store, query, first.last)) == ["b", "c"]


def test_before_the_first_page_there_is_an_empty_one_that_leads_to_it() -> None:
    store = stored([event(T, "a"), event(T + 1, "b")])
    query = ascending(T, T + 10)
    before = ask(store, query, ask(store, query).previous)
    assert ids(before) == []
    assert ids(ask(store, query, before.next)) == ["a", "b"]


def test_equal_times_are_told_apart_by_id_across_the_edge_of_a_page() -> None:
    store = stored(event(T + 0.5, name) for name in "edcba")
    query = ascending(T, T + 1)
    first = ask(store, query)
    second = ask(store, query, first.next)
    assert ids(first) + ids(second) + ids(ask(store, query, second.next)) == list("abcde")


def test_one_millisecond_is_ordered_by_full_time() -> None:
    store = stored([event(T + 0.1239, "a"), event(T + 0.1231, "z"), event(T + 0.1235, "m")])
    query = ascending(T, T + 1)
    first = ask(store, query)
    assert ids(first) + ids(ask(store, query, first.next)) == ["z", "m", "a"]


def test_an_id_may_come_again_on_another_day() -> None:
    store = stored([event(T, "same"), event(T + DAY, "same"), event(T + DAY + 1, "other")])
    query = ascending(T, limit=1)
    first = ask(store, query)
    second = ask(store, query, first.next)
    assert [entry.key[0] for entry in second.entries] == [T + DAY]
    assert ids(ask(store, query, second.next)) == ["other"]


def test_a_filter_on_another_field_reads_the_payload() -> None:
    store = stored(
        [event(T, "a", payload=b'{"tags":["x"]}'), event(T + 1, "b", payload=b"[]"), event(T + 2, "c", payload=b"{}")]
    )
    query = Query(Range(T * 1000, None, ascending=True), (("tags", "x"),), 5)
    assert ids(ask(store, query)) == ["a"]


def test_milliseconds_are_cut_by_the_digits() -> None:
    assert milliseconds(1787220050.123) == 1787220050123
    assert milliseconds(1787220050.1239998) == 1787220050123
    assert (milliseconds(1787220050.0), milliseconds(1e-7), milliseconds(5e16)) == (1787220050000, 0, 50 * 10**18)
    assert all(milliseconds(ms / 1000) == ms for ms in range(T * 1000, T * 1000 + 1000))


times = st.integers(0, 40).map(lambda n: T + n / 7)
events = st.lists(
    st.tuples(times, st.text("ab", min_size=1, max_size=3), st.sampled_from(["delivered", "opened"]), st.booleans()),
    max_size=30,
    unique_by=lambda each: (each[0], each[1]),
)


@given(
    drawn=events,
    limit=st.integers(1, 5),
    begin=st.integers(-500, 6000),
    length=st.integers(1, 7000),
    down=st.booleans(),
    inclusive=st.booleans(),
    types=st.sampled_from(["", "opened", "NOT opened", "opened AND delivered"]),
)
def test_following_next_shows_each_visible_event_once_in_order_and_ends_with_an_empty_page(
    drawn: list[tuple[float, str, str, bool]],
    limit: int,
    begin: int,
    length: int,
    down: bool,
    inclusive: bool,
    types: str,
) -> None:
    """Whatever is visible, in ranges of both directions."""
    low, high = T * 1000 + begin, T * 1000 + begin + length
    visible = {True: 1.0, False: 100.0}
    store = stored(event(at, name, event_type=kind, visible_at=visible[seen]) for at, name, kind, seen in drawn)
    bounds = Range(high, low, ascending=False) if down else Range(low, high, ascending=True)
    query = Query(bounds, (("event", types),) if types else (), limit)
    wanted = {"": {"delivered", "opened"}, "opened": {"opened"}, "NOT opened": {"delivered"}}.get(types, set())

    shown: list[tuple[float, str]] = []
    found = ask(store, query, now=50.0, end_inclusive=inclusive)
    while found.entries:
        assert len(found.entries) <= limit
        shown += [entry.key for entry in found.entries]
        found = ask(store, query, found.next, now=50.0, end_inclusive=inclusive)

    def is_in_range(at: float) -> bool:
        if at == (low if down else high) / 1000:
            return inclusive
        return low / 1000 <= at <= high / 1000

    expected = sorted((at, name) for at, name, kind, seen in drawn if seen and kind in wanted and is_in_range(at))
    assert shown == (expected[::-1] if down else expected)


@given(drawn=events, parts=st.integers(1, 4))
def test_the_order_in_which_events_are_added_does_not_matter(
    drawn: list[tuple[float, str, str, bool]], parts: int
) -> None:
    """One by one, in portions, or all at once: the store is the same."""
    made = [event(at, name, event_type=kind) for at, name, kind, _ in drawn]
    store = EventStore()
    for part in range(parts):
        store.add(made[part::parts])
    assert [entry.key for entry in store] == sorted((at, name) for at, name, _, _ in drawn)
    assert len(store) == len(drawn)
