"""`mailriver demo`, as a newcomer runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]


def demo(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services", "demo", *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=280, env={**os.environ, **environ}
    )


def test_the_demo_ends_with_agreement_though_events_come_late_twice_and_out_of_order() -> None:
    """Plain lines where there is no terminal, a table, and the sentence that says how it went as its last line."""
    done = demo("--recipients", "3000", "--seed", "11", "--seconds", "10")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    compared = re.fullmatch(r"rows compared (\d+), different 0", lines[-1])
    assert compared is not None, done.stdout
    assert int(compared[1]) > 3 * 3_000 - 100  # recipients, members, subscriptions, and what events leave elsewhere
    assert any(re.fullmatch(r"rows audited \d+, drift 0", line) for line in lines)
    assert any("kill -9" in line for line in lines)
    (twice,) = [line for line in lines if "came twice" in line]
    assert int(twice.partition("so ")[2].split()[0].replace(",", "")) > 0, twice
    assert any(line.startswith("sending: sent ") for line in lines)
    assert any("first_delivered_at" in line for line in lines)


def test_the_demo_writes_to_no_server_that_the_environment_names() -> None:
    """It is about embedded servers; these addresses lead nowhere, and it does not mind."""
    done = demo(
        *("--recipients", "300", "--seconds", "3"),
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        SCHEMA_REGISTRY_URL="http://127.0.0.1:1",
        MAILGUN_API_KEY_FILE="/nowhere",
        MAILGUN_TAG="none",
        TOPIC_PREFIX="other.",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_java_the_demo_says_what_to_install() -> None:
    """A line with the remedy, exit 1, no traceback."""
    done = demo("--recipients", "10", PATH="/nowhere", JAVA_HOME="")
    assert done.returncode == 1
    assert "Java" in done.stderr
    assert "Traceback" not in done.stderr
