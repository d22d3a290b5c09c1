"""The loops on a real Kafka: late events, restarts, bounds, and items that are too large."""

from __future__ import annotations

import hashlib
import random
import string
import time
from collections.abc import Iterator

import msgspec
import pytest

from services.contracts import topics
from services.contracts.codec import Codec
from services.contracts.reasons import Loop
from services.fetcher.core.loop import restored
from services.fetcher.core.window import LATEST, POLLING
from services.runtime.codecs import codec_for
from services.sandbox.mailgun import MailgunSimulator, Scenario
from tests.support.fetching import API_KEY, DOMAIN, Fetcher, Journal, add, one, several
from tests.support.servers import KafkaServer

pytestmark = pytest.mark.integration


@pytest.fixture
def simulator() -> Iterator[MailgunSimulator]:
    with MailgunSimulator(Scenario(api_key=API_KEY, domains=(DOMAIN,)), clock=time.time) as running:
        yield running


def loops_of(journal: Journal) -> dict[str, list[str]]:
    """Which loops published each event."""
    found: dict[str, list[str]] = {}
    for raw in journal.raw:
        found.setdefault(raw.event_id, []).append(raw.loop)
    return found


def test_what_mailgun_shows_late_comes_by_missing_and_nothing_else_does(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """Late events lie before one that latest has published, so latest never sees them; all arrive once."""
    settings = {"FETCH_TRUST_AGE_SECONDS": "3", "FETCH_MISSING_LOOKBACK_SECONDS": "60"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        now = time.time()
        prompt = several(40, now - 2, 1.5, name="prompt")
        add(simulator, prompt)
        fetcher.step_until(lambda: len(journal.read_on().counts) == 40, seconds=30, what="latest has the prompt ones")
        late = [one(f"late{number}", now - 1.8 + number / 100, "delivered") for number in range(20)]
        late += [one(f"late-open{number}", now - 1.8 + number / 100, "opened") for number in range(20)]
        add(simulator, late)
        fetcher.step_until(lambda: len(journal.read_on().counts) == 80, seconds=30, what="missing has the late ones")
        through = time.time()
        fetcher.step_until(
            lambda: (fetcher.states[DOMAIN, Loop.MISSING].fetched_through or 0) > (through - 1) * 1e6,
            seconds=30,
            what="missing has read past all of it",
        )
    by_loop = loops_of(journal.read_on())
    assert {event.id: by_loop[event.id] for event in late} == {event.id: ["missing"] for event in late}
    assert {tuple(by_loop[event.id]) for event in prompt} == {("latest",), ("latest_opened",)}


def test_a_late_event_that_two_loops_see_at_once_is_published_once(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """After the last event that a latest loop saw, late ones are shown to it and to missing, whichever asks first."""
    simulator.scenario = msgspec.structs.replace(simulator.scenario, latency_seconds=0.05)
    settings = {"FETCH_TRUST_AGE_SECONDS": "0.4", "FETCH_MISSING_LOOKBACK_SECONDS": "60"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        wanted = add(simulator, [one("first", time.time() - 30)])

        def arrived() -> bool:
            return wanted <= set(journal.read_on().counts)

        for number in range(18):
            fetcher.step_until(arrived, seconds=30, what="all that was shown is published")
            for _ in range(number % 6):
                fetcher.app.step()
            wanted.update(add(simulator, [one(f"late{number}", time.time() - 20 + number)]))
        fetcher.step_until(arrived, seconds=30, what="the last one too")
        passed = time.time()
        fetcher.step_until(
            lambda: (fetcher.states[DOMAIN, Loop.MISSING].fetched_through or 0) > passed * 1e6,
            seconds=30,
            what="every loop has been over all of it",
        )
    assert set(journal.read_on().counts.values()) == {1}


def test_a_restart_goes_on_from_the_committed_states_and_repeats_only_by_missing(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """The second process starts from exactly what the state topic holds; nothing is lost between the two."""
    settings = {"FETCH_TRUST_AGE_SECONDS": "4", "FETCH_MISSING_LOOKBACK_SECONDS": "60", "FETCH_PAGE_SIZE": "10"}
    now = time.time()
    wanted = add(simulator, several(200, now - 8, 16))
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as first:
        first.step_until(
            lambda: len(journal.read_on().counts) >= 100 and max(map(first.lag, LATEST)) < 1,
            seconds=30,
            what="the latest loops are near to now",
        )
    kept = journal.read_on().last_states
    late_at = min(kept[DOMAIN, loop].begin for loop in LATEST) - 300_000
    assert late_at > (kept[DOMAIN, Loop.MISSING].fetched_through or 0)
    late = [one(f"late{number}", (late_at + number) / 1e6) for number in range(10)]
    wanted |= add(simulator, late)
    simulator.stop()
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as second:
        second.step_until(lambda: second.states, seconds=30, what="the loops are taken, and nobody answers them")
        started = {key: (state.cursor, state.fetched_through) for key, state in second.states.items()}
        assert started == {key: (restored(state).cursor, state.fetched_through) for key, state in kept.items()}
        assert started.keys() == {(DOMAIN, loop) for loop in POLLING}
        simulator.start()
        second.step_until(lambda: wanted <= set(journal.read_on().counts), seconds=40, what="all events")
        through = time.time()
        second.step_until(
            lambda: (second.states[DOMAIN, Loop.MISSING].fetched_through or 0) > through * 1e6,
            seconds=30,
            what="missing has been over all of it",
        )
    by_loop = loops_of(journal.read_on())
    assert journal.counts.keys() == wanted
    assert {tuple(sorted(loops)) for loops in by_loop.values()} <= {
        ("latest",), ("latest_opened",), ("missing",), ("latest", "missing"), ("latest_opened", "missing")
    }  # fmt: skip
    assert {event.id: by_loop[event.id] for event in late} == {event.id: ["missing"] for event in late}


def test_more_events_in_one_instant_than_a_run_may_publish_all_arrive_once(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """3,000 events, a thousand of them in one millisecond; the cursors only ever advance."""
    start = float(int(time.time()) - 20)
    instants = [start + 5 + (0.0005 if number % 2 else number / 2_000_000) for number in range(1_000)]
    at_once = [one(f"same{number}", instant) for number, instant in enumerate(instants)]
    wanted = add(simulator, several(2_000, start, 15) + at_once)
    settings = {"FETCH_MAX_EVENTS": "100", "FETCH_PAGE_SIZE": "50"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        fetcher.step_until(lambda: len(journal.read_on().counts) >= 3_000, seconds=90, what="all 3,000 events")
        fetcher.step_until(
            lambda: {state.status for state in fetcher.states.values()} == {"idle"}, seconds=20, what="the runs end"
        )
    assert journal.read_on().counts.keys() == wanted
    assert set(journal.counts.values()) == {1}
    for loop in POLLING:
        begins = [state.begin for state in journal.states if state.loop == loop]
        assert begins == sorted(begins)
    runs = [state.last_started_at for state in journal.states if state.loop == Loop.LATEST]
    assert len(set(runs)) > 10, "the runs were not cut"


@pytest.fixture
def codec() -> Codec:
    return codec_for(None)


def incompressible(size: int) -> str:
    return "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=size))


def test_an_item_too_large_for_the_topic_is_a_dead_letter_and_the_cursor_moves_on(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator, codec: Codec
) -> None:
    """Its first 64 KiB are kept with the size and hash of the whole; the largest that fits arrives as it is."""
    at = time.time() - 10
    smallest = one("largest", at + 2, text="")
    room = topics.RAW_MAX_BYTES - 2_048 - 400
    wanted = add(
        simulator,
        [
            one("before", at),
            one("largest", at + 2, text=incompressible(room - len(smallest.payload_bytes()))),
            one("too-large", at + 3, text="x" * topics.RAW_MAX_BYTES),
            one("after", at + 4),
        ],
    )
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url) as fetcher:
        fetcher.step_until(lambda: len(journal.read_on().counts) >= 3, seconds=60, what="the three others")
        passed = int((at + 4) * 1e6) // 1000 * 1000
        fetcher.step_until(
            lambda: fetcher.states[DOMAIN, Loop.LATEST].cursor.begin >= passed, seconds=10, what="the cursor moves on"
        )
    journal.read_on()
    assert {identity[1] for identity in wanted} - {identity[1] for identity in journal.counts} == {"too-large"}
    (dead,) = journal.dead
    headers = {name: value.decode() for name, value in dead.headers}
    assert dead.value is not None
    assert len(dead.value) == 65_536
    assert (headers["reason"], headers["stage"]) == ("too_large", "fetcher")
    assert int(headers["size"]) > topics.RAW_MAX_BYTES
    assert len(headers["sha256"]) == hashlib.sha256().digest_size * 2
    assert headers["original-topic"].endswith(topics.RAW)
    assert dead.key == b"too-large@mg.example.com|too-large@example.net"


def test_a_run_capped_at_100_events_gets_through_50_000_with_1_000_in_one_instant(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """All arrive, each once."""
    start = float(int(time.time()) - 50)
    spread = [one(f"e{number}", start + 45 * number / 49_000) for number in range(49_000)]
    at_once = [one(f"same{number}", start + 20.123_456) for number in range(1_000)]
    wanted = add(simulator, spread + at_once)
    settings = {"FETCH_MAX_EVENTS": "100", "FETCH_PAGE_SIZE": "300", "FETCH_INTERVAL_SECONDS": "0.05"}
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as fetcher:
        fetcher.step_until(lambda: len(journal.read_on().counts) >= 50_000, seconds=240, what="all 50,000 events")
    assert journal.read_on().counts.keys() == wanted
    assert set(journal.counts.values()) == {1}


def test_events_shown_up_to_25_minutes_late_are_found_by_missing_after_a_restart_too(
    kafka: KafkaServer, topic_prefix: str, journal: Journal, simulator: MailgunSimulator
) -> None:
    """A minute takes 0.4 s here: shown 1 to 25 of them late, and trusted after 30."""
    minute = 0.4
    settings = {"FETCH_TRUST_AGE_SECONDS": str(30 * minute), "FETCH_MISSING_LOOKBACK_SECONDS": "120"}
    lateness = random.Random(25)
    start = time.time()
    prompt = several(300, start, 20, name="prompt")
    late = [
        one(f"late{number}", at := start + number / 15, shown_at=at + minute * lateness.uniform(1, 25))
        for number in range(300)
    ]
    wanted = add(simulator, prompt) | add(simulator, late)
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as first:
        first.step_until(lambda: time.time() > start + 20, seconds=40, what="the middle of it")
    assert not wanted <= set(journal.read_on().counts)
    with Fetcher(kafka.bootstrap, topic_prefix, simulator.base_url, settings) as second:
        second.step_until(lambda: wanted <= set(journal.read_on().counts), seconds=60, what="all events")
    by_loop = loops_of(journal)
    assert sum(loops == ["missing"] for name, loops in by_loop.items() if name.startswith("late")) > 100
    for loop in POLLING:
        assert set(journal.counts_of(loop).values()) == {1}
