"""Settings: all faults at once, nothing misspelt goes unnoticed, secrets by file and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fetcher.settings import FetcherSettings
from services.runtime.errors import SettingsError
from services.runtime.settings import DatabaseSettings, ProcessorBatchSettings, known_names, load, secret_texts, shown

GOOD = {
    "MAILGUN_API_KEY": "key-secret",
    "MAILGUN_DOMAINS": "mg.example.com, News.example.org",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
}


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(FetcherSettings, environ)
    return caught.value.faults


def test_good_settings_load_with_their_defaults() -> None:
    settings = load(FetcherSettings, GOOD)
    assert settings.mailgun_domains == ("mg.example.com", "news.example.org")
    assert settings.fetch_interval_seconds == 5
    assert settings.fetch_requests_per_second == 5
    assert settings.mailgun_base_url == "https://api.mailgun.net"
    assert settings.margins().trust_age == 1_800_000_000


def test_every_fault_is_named_at_once() -> None:
    found = faults({"FETCH_INTERVAL_SECONDS": "soon", "FETCH_PAGE_SIZE": "301", "MAILGUN_DOMAIN": "mg.example.com"})
    names = sorted(fault.partition(":")[0] for fault in found)
    assert names == [
        "FETCH_INTERVAL_SECONDS",
        "FETCH_PAGE_SIZE",
        "KAFKA_BOOTSTRAP_SERVERS",
        "MAILGUN_API_KEY",
        "MAILGUN_DOMAIN",
        "MAILGUN_DOMAINS",
    ]


@pytest.mark.parametrize("name", ["FETCH_INTERVALL", "MAILGUN_KEY", "CONSOLE_TOKENS"])
def test_unknown_names_with_our_prefixes_are_faults(name: str) -> None:
    assert any(fault.startswith(f"{name}: no such setting") for fault in faults({**GOOD, name: "1"}))


def test_other_peoples_names_and_other_services_settings_are_none() -> None:
    load(
        FetcherSettings, {**GOOD, "PROCESSOR_X": "1", "PATH": "/bin", "CONSOLE_TOKEN": "t", "STORAGE_BATCH_EVENTS": "9"}
    )


def test_a_secret_can_be_a_file() -> None:
    environ = {name: value for name, value in GOOD.items() if name != "MAILGUN_API_KEY"}
    settings = load(FetcherSettings, {**environ, "MAILGUN_API_KEY_FILE": "/run/key"}, lambda path: f"from {path}\n")
    assert settings.mailgun_api_key.get_secret_value() == "from /run/key"


def test_a_secret_file_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    environ = {name: value for name, value in GOOD.items() if name != "MAILGUN_API_KEY"}
    found = faults({**environ, "MAILGUN_API_KEY_FILE": str(tmp_path / "none")})
    assert found == ["MAILGUN_API_KEY_FILE: cannot be read (FileNotFoundError)"]


def test_a_secret_given_twice_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    found = faults({**GOOD, "MAILGUN_API_KEY_FILE": str(tmp_path / "key")})
    assert found == ["MAILGUN_API_KEY: given twice, by MAILGUN_API_KEY and by MAILGUN_API_KEY_FILE; keep one of them"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILGUN_BASE_URL", "http://api.example.com"),
        ("MAILGUN_BASE_URL", "api.mailgun.net"),
        ("MAILGUN_DOMAINS", "not a domain"),
        ("MAILGUN_DOMAINS", ","),
        ("FETCH_END_MARGIN_SECONDS", "-1"),
        ("FETCH_END_MARGIN_SECONDS", "nan"),
        ("FETCH_CONCURRENCY", "0"),
        ("HTTP_PORT", "65536"),
        ("TOPIC_PREFIX", "a/b"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_wrong_values_are_refused_by_name(name: str, value: str) -> None:
    found = faults({**GOOD, name: value})
    assert [fault.partition(":")[0] for fault in found] == [name]


def test_plain_http_is_for_loopback() -> None:
    load(FetcherSettings, {**GOOD, "MAILGUN_BASE_URL": "http://127.0.0.1:8025"})


def test_fractions_of_seconds_are_taken() -> None:
    assert load(FetcherSettings, {**GOOD, "FETCH_INTERVAL_SECONDS": "0.5"}).fetch_interval_seconds == 0.5


def test_retry_delays_are_one_to_three_numbers() -> None:
    assert load(ProcessorBatchSettings, {"PROCESSOR_RETRY_SECONDS": "1,2.5"}).processor_retry_seconds == (1, 2.5)
    with pytest.raises(SettingsError, match=r"PROCESSOR_RETRY_SECONDS: .*one to three"):
        load(ProcessorBatchSettings, {"PROCESSOR_RETRY_SECONDS": "1,2,3,4"})


def test_secrets_are_never_shown() -> None:
    settings = load(FetcherSettings, GOOD)
    assert "key-secret" not in str(shown(settings))
    assert "key-secret" not in repr(settings)
    assert secret_texts(settings) == ("key-secret",)
    assert shown(settings)["MAILGUN_DOMAINS"] == "mg.example.com,news.example.org"


def test_no_fault_shows_a_value() -> None:
    """A mistyped secret must not end up in a terminal or a log."""
    found = faults({**GOOD, "FETCH_PAGE_SIZE": "hunter2"})
    assert "hunter2" not in "".join(found)


def test_secrets_alone_have_a_file_variant() -> None:
    assert {name for name in known_names() if name.endswith("_FILE")} == {
        "CONSOLE_TOKEN_FILE",
        "DATABASE_URL_FILE",
        "KAFKA_PROPERTIES_FILE",
        "LOG_HASH_KEY_FILE",
        "MAILGUN_API_KEY_FILE",
    }
    assert load(DatabaseSettings, {"DATABASE_URL": "postgresql://h/d"}).database_url
