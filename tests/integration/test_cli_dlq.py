"""``mailriver dlq`` as whole processes, on a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
from subprocess import CompletedProcess

import pytest

from services.contracts import topics
from services.contracts.reasons import DeadReason
from tests.support.commands import mailriver
from tests.support.letters import DeadLetterTopics
from tests.support.tables import ROOT
from tests.support.topics import read_committed

pytestmark = pytest.mark.integration


def command(dlq: DeadLetterTopics, *words: str) -> CompletedProcess[str]:
    """``mailriver dlq`` with these words."""
    return mailriver("dlq", *words, KAFKA_BOOTSTRAP_SERVERS=dlq.bootstrap, TOPIC_PREFIX=dlq.prefix)


def done(dlq: DeadLetterTopics, *words: str) -> str:
    """What it says; it has to go well."""
    result = command(dlq, *words)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_list_show_and_replay(dlq: DeadLetterTopics) -> None:
    """Nothing that a stranger wrote steers the terminal."""
    assert done(dlq, "list") == "0 dead letters\n"
    hostile = b'{"a": "\x1b[31m\nred"}'
    dlq.write(
        [dlq.letter(hostile), dlq.letter(b"\xff\x00", reason=DeadReason.NOT_AVRO)],
        [dlq.letter(b"typed", of=topics.EMAIL_EVENTS)],
    )
    lines = done(dlq, "list").splitlines()
    assert len(lines) == 4
    assert lines[-1] == "3 dead letters: not_json 2, not_avro 1"
    assert lines[2].split("\t")[:2] == ["mailgun.events.dlq", "0:0"]
    assert [each["offset"] for each in json.loads(done(dlq, "list", "--json", "--reason", "not_avro"))["records"]] == [
        1
    ]
    limited = command(dlq, "list", "--limit", "2")
    assert limited.stdout.splitlines()[-1].startswith("2 dead letters")
    assert "--limit 20" in limited.stderr

    shown = done(dlq, "show", "mailgun.events.dlq", "0", "0")
    assert "\x1b" not in shown
    assert '{"a": "\ufffd[31m\nred"}' in shown
    assert "original-offset: 7" in shown
    assert "replayed: never" in shown
    raw = subprocess.run(
        [sys.executable, "-m", "services", "dlq", "show", "mailgun.events.dlq", "0", "1", "--raw"],
        cwd=ROOT,
        env={"KAFKA_BOOTSTRAP_SERVERS": dlq.bootstrap, "TOPIC_PREFIX": dlq.prefix},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert raw.stdout == b"\xff\x00"

    choice = ("replay", "--reason", "not_json")
    assert done(dlq, *choice, "--dry-run") == "would be replayed 2, skipped 0\n"
    assert done(dlq, *choice, "--limit", "1") == "replayed 1, skipped 0\n"
    assert done(dlq, *choice) == "replayed 1, skipped 1: 1 replayed before (--force replays them again)\n"
    one = ("replay", "--topic", "mailgun.events.dlq", "--offset", "0:1", "--offset", "0:0", "--force", "--yes")
    assert done(dlq, *one) == "replayed 2, skipped 0\n"
    values = [record.value for record in read_committed(dlq.bootstrap, f"{dlq.prefix}{topics.RAW}")]
    assert sorted(values, key=str) == sorted([hostile, hostile, b"\xff\x00"], key=str)
    assert "replayed: 20" in done(dlq, "show", "mailgun.events.dlq", "0", "0")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("list", "--reason", "bad"), 2, "'bad' is not one of"),
        (("list", "--limit", "0"), 2, "x>=1"),
        (("show", "orders", "0", "0"), 2, "'orders' is not one of"),
        (("show", "mailgun.events.dlq", "0", "5"), 1, "there is no dead letter at mailgun.events.dlq/0/5"),
        (("replay",), 2, "give either --reason or --offset"),
        (("replay", "--offset", "0:0"), 2, "give --topic"),
        (("replay", "--topic", "mailgun.events.dlq"), 2, "give either --reason or --offset"),
        (("replay", "--topic", "mailgun.events.dlq", "--offset", "zero"), 2, "such as 0:42"),
        (("replay", "--topic", "mailgun.events.dlq", "--offset", "0:9"), 1, "no record at 0:9"),
    ],
)
def test_used_wrongly_or_in_vain(dlq: DeadLetterTopics, words: tuple[str, ...], code: int, says: str) -> None:
    result = command(dlq, *words)
    assert result.returncode == code
    assert says in result.stderr
    assert result.stdout == ""


def test_without_a_broker_it_fails_with_a_sentence() -> None:
    result = mailriver("dlq", "list", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.startswith("mailriver: Kafka: ")
    assert mailriver("dlq", "list").returncode == 2
