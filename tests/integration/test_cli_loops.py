"""`mailriver loops`, `schedule` and `cancel`, and `run console`, as whole processes on a real Kafka."""

from __future__ import annotations

import json
import signal
import time
from subprocess import CompletedProcess

import httpx
import pytest

from services.contracts import topics
from services.contracts.events import ScheduleFetch
from services.runtime.codecs import codec_for
from tests.support.commands import mailriver, started
from tests.support.console import DOMAIN, loop_state, schedule_state, write_states
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics, read_committed

pytestmark = pytest.mark.integration

CONSOLE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://127.0.0.1:1/mail",
    "MAILGUN_DOMAINS": DOMAIN,
    "HTTP_PORT": "0",
}


@pytest.fixture
def settings(kafka: KafkaServer, topic_prefix: str) -> dict[str, str]:
    create_topics(kafka.bootstrap, topic_prefix)
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": topic_prefix, "MAILGUN_DOMAINS": DOMAIN}


def commands(settings: dict[str, str]) -> list[object]:
    topic = f"{settings['TOPIC_PREFIX']}{topics.FETCH_COMMANDS}"
    return [
        codec_for(None).decode(record.value) for record in read_committed(settings["KAFKA_BOOTSTRAP_SERVERS"], topic)
    ]


def test_an_order_is_placed_listed_and_cancelled_without_a_console(settings: dict[str, str]) -> None:
    """By the id that was printed."""
    ordered = mailriver("schedule", "-2h", "now", "--event", "failed", **settings)
    assert ordered.returncode == 0, ordered.stderr
    assert ordered.stderr == ""
    schedule_id = ordered.stdout.strip()
    (command,) = commands(settings)
    assert isinstance(command, ScheduleFetch)
    assert (command.schedule_id, command.domain, command.event_types) == (schedule_id, DOMAIN, ["failed"])
    assert command.end - command.begin == 7_200_000_000
    listed = mailriver("loops", "--json", **settings)
    (row,) = json.loads(listed.stdout)["schedules"]
    assert (row["id"], row["state"]) == (schedule_id, "queued")
    canceled = mailriver("cancel", schedule_id, **settings)
    assert (canceled.returncode, canceled.stdout) == (0, f"{schedule_id} is told to stop\n")
    again = mailriver("cancel", schedule_id, **settings)
    assert (again.returncode, again.stderr) == (1, f"mailriver: {schedule_id}: it has ended already: canceled\n")
    unknown = mailriver("cancel", "unknown", **settings)
    assert unknown.returncode == 1
    assert "there is no such schedule" in unknown.stderr


def test_an_order_beyond_the_retention_warns_on_stderr(settings: dict[str, str]) -> None:
    """So that a script still reads the id alone."""
    ordered = mailriver("schedule", "-3d", "-1h", **settings)
    assert ordered.returncode == 0
    assert "MAILGUN_RETENTION_HOURS" in ordered.stderr
    assert len(ordered.stdout.split()) == 1


def test_with_several_domains_one_has_to_be_named(settings: dict[str, str]) -> None:
    """Or more than one: each gets its order."""
    settings = {**settings, "MAILGUN_DOMAINS": f"{DOMAIN},news.example.com"}
    refused = mailriver("schedule", "-2h", "now", **settings)
    assert refused.returncode == 2
    assert "--domain: there are several, name one or more of mg.example.com, news.example.com" in refused.stderr
    ordered = mailriver("schedule", "-2h", "now", "--domain", DOMAIN, "--domain", "news.example.com", **settings)
    assert ordered.returncode == 0, ordered.stderr
    assert len(ordered.stdout.split()) == 2
    assert {getattr(command, "domain", "") for command in commands(settings)} == {DOMAIN, "news.example.com"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("now", "-2h"), "is not after begin"),
        (("2026-01-01", "now"), "has no zone"),
        (("-2h", "2999-01-01T00:00:00Z"), "is in the future"),
        (("-2h", "now", "--domain", "other.example.com"), "none of MAILGUN_DOMAINS"),
        (("-2h", "now", "--event", "bounced"), "no type of Mailgun's"),
        (("-2h",), "Missing argument 'END'"),
    ],
)
def test_a_wrong_order_is_refused_before_anything_is_asked(words: tuple[str, ...], says: str) -> None:
    """Exit 2: used wrongly. No Kafka is needed to say so."""
    refused = mailriver("schedule", *words, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", MAILGUN_DOMAINS=DOMAIN)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("failed", 1), ("canceled", 1)])
def test_waiting_ends_with_the_schedule(settings: dict[str, str], state: str, code: int) -> None:
    """0 if it is done, else 1."""
    with started("schedule", "-2h", "now", "--wait", **settings) as process:
        try:
            assert process.stdout is not None
            schedule_id = process.stdout.readline().strip()
            bootstrap, prefix = settings["KAFKA_BOOTSTRAP_SERVERS"], settings["TOPIC_PREFIX"]
            write_states(bootstrap, prefix, [schedule_state(schedule_id, fetched_through=6_000_000)])
            write_states(bootstrap, prefix, [schedule_state(schedule_id, state=state)])
            process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code


def test_loops_are_shown_as_a_table(settings: dict[str, str]) -> None:
    """Both lists; the errors of others are no markup."""
    bootstrap, prefix = settings["KAFKA_BOOTSTRAP_SERVERS"], settings["TOPIC_PREFIX"]
    now = int(time.time() * 1_000_000)
    states = [
        loop_state(
            state="failed", fetched_through=now - 90_000_000, last_error="[red]401[/] says Mailgun", events_total=1234
        ),
        schedule_state("s1", fetched_through=6_000_000, events_total=5_000),
    ]
    write_states(bootstrap, prefix, states)
    shown = mailriver("loops", **settings)
    assert shown.returncode == 0, shown.stderr
    for text in (DOMAIN, "latest", "failed", "1,234", "[red]401[/] says Mailgun", "s1", "running", "50%", "5,000"):
        assert text in shown.stdout


def no_kafka(*words: str) -> CompletedProcess[str]:
    return mailriver(*words, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", MAILGUN_DOMAINS=DOMAIN)


@pytest.mark.parametrize("words", [("loops",), ("cancel", "x"), ("schedule", "-2h", "now")])
def test_without_kafka_a_command_gives_up_with_a_sentence(words: tuple[str, ...]) -> None:
    """Exit 1, one line."""
    failed = no_kafka(*words)
    assert failed.returncode == 1
    assert failed.stdout == ""
    (line,) = failed.stderr.splitlines()
    assert line.startswith("mailriver: ")


def test_the_console_without_any_server_runs_says_so_and_stops_when_told() -> None:
    """As the other services do, with a stream open."""
    with started("run", "console", **CONSOLE) as process:
        try:
            assert process.stderr is not None
            line = json.loads(process.stderr.readline())
            assert (line["event"], line["service"]) == ("started", "console")
            base = f"http://127.0.0.1:{line['http_port']}"
            assert httpx.get(f"{base}/livez", trust_env=False).json() == {"ok": True, "faults": {}}
            assert httpx.get(f"{base}/readyz", trust_env=False).status_code == 503
            assert httpx.get(f"{base}/api/loops", trust_env=False).json()["loops"] == []
            with httpx.stream("GET", f"{base}/api/stream", trust_env=False, timeout=30) as stream:
                lines = stream.iter_lines()
                assert next(lines) == "event: hello"
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                for _ in lines:
                    pass
            _, said = process.communicate(timeout=30)
            assert time.monotonic() - began < 10
        finally:
            process.kill()
    assert process.returncode == 0
    assert json.loads(said.splitlines()[-1])["event"] == "stopped"


def test_the_console_is_not_opened_to_a_network_without_a_token() -> None:
    """Exit 2, and what to do."""
    refused = mailriver("run", "console", **CONSOLE, HTTP_HOST="0.0.0.0")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("mailriver: HTTP_HOST: 0.0.0.0 can be reached from other machines")
    assert "set CONSOLE_TOKEN" in line
