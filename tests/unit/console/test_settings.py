"""The console's settings: it is never open to a network without a token."""

from __future__ import annotations

import pytest

from services.console.settings import ConsoleSettings
from services.runtime.errors import SettingsError
from services.runtime.settings import load

NEEDED = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "MAILGUN_DOMAINS": "mg.example.com",
    "DATABASE_URL": "postgresql://127.0.0.1/mail",
}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_on_loopback_it_needs_no_token(host: str) -> None:
    """And no key of Mailgun's either."""
    assert load(ConsoleSettings, {**NEEDED, "HTTP_HOST": host}).console_token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "console.example.com"])
def test_elsewhere_it_does(host: str) -> None:
    """The message names both ways out."""
    with pytest.raises(SettingsError) as refused:
        load(ConsoleSettings, {**NEEDED, "HTTP_HOST": host})
    (fault,) = refused.value.faults
    assert fault.startswith(f"HTTP_HOST: {host} can be reached from other machines, and CONSOLE_TOKEN is not set;")
    assert load(ConsoleSettings, {**NEEDED, "HTTP_HOST": host, "CONSOLE_TOKEN": "secret"}).http_host == host


def test_all_faults_are_told_at_once() -> None:
    """As of every service."""
    with pytest.raises(SettingsError) as refused:
        load(ConsoleSettings, {"HTTP_PORT": "x", "CONSOLE_TOKENS": "1"})
    names = {fault.partition(":")[0] for fault in refused.value.faults}
    assert names == {"HTTP_PORT", "CONSOLE_TOKENS", *NEEDED}
