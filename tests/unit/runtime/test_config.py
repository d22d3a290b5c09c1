"""What a user may add to librdkafka's configuration, and what the promises keep for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.bus.config import RESERVED, KafkaConfig, parse_properties
from services.runtime.bus.metadata import admin_client
from services.runtime.errors import SettingsError
from services.runtime.settings import KafkaSettings, load


def faults(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_properties(text)
    return caught.value.faults


def settings(file: Path) -> KafkaSettings:
    return load(KafkaSettings, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_PROPERTIES_FILE": str(file)})


def test_comments_and_blank_lines_are_left_out_and_values_keep_their_equals_signs() -> None:
    """The form of Java's properties files, as far as it is needed."""
    text = "# TLS\n! and more\n\n  security.protocol = SASL_SSL \nsasl.password=a=b==\r\nssl.ca.location=\n"
    assert parse_properties(text) == {
        "security.protocol": "SASL_SSL",
        "sasl.password": "a=b==",
        "ssl.ca.location": "",
    }


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_each_reserved_property_is_refused_with_its_line(name: str) -> None:
    """Whoever could set it would break a promise without knowing."""
    (fault,) = faults(f"# mine\nclient.id=x\n  {name} = anything\n")
    assert fault.startswith(f"KAFKA_PROPERTIES_FILE: line 3: {name} is Mailriver's own")


def test_every_fault_is_told_at_once_and_no_value_with_it() -> None:
    """A value may be a password."""
    found = faults("sasl.password s3cret\nacks=s3cret\n=s3cret\n")
    assert [fault.split(":")[1].strip() for fault in found] == [
        "line 1 is not name=value",
        "line 2",
        "line 3 is not name=value",
    ]
    assert "s3cret" not in "".join(found)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_is_reserved_is_what_mailriver_sets(name: str) -> None:
    """Or another name of it: each is set by one of the clients, or librdkafka takes it for one that is."""
    aliases = {
        "max.in.flight": "enable.idempotence",
        "max.in.flight.requests.per.connection": "enable.idempotence",
        "request.required.acks": "acks",
    }
    config = KafkaConfig("127.0.0.1:1")
    assert aliases.get(name, name) in {**config.consumer("g"), **config.producer("t")}


def test_promises_are_kept_whatever_the_user_says() -> None:
    """Also if a configuration is made without the parser."""
    config = KafkaConfig("127.0.0.1:1", {"acks": "0", "isolation.level": "read_uncommitted", "client.id": "mine"})
    assert config.producer("t")["acks"] == "all"
    assert config.consumer("g")["isolation.level"] == "read_committed"
    assert config.client()["client.id"] == "mine"


def test_users_properties_override_ours_and_go_to_the_client_they_are_for() -> None:
    """librdkafka warns of a consumer's property at a producer."""
    config = KafkaConfig("127.0.0.1:1", {"linger.ms": "50", "fetch.wait.max.ms": "7", "reconnect.backoff.max.ms": "9"})
    assert config.producer("t")["linger.ms"] == "50"
    assert config.consumer("g")["fetch.wait.max.ms"] == "7"
    assert "linger.ms" not in config.consumer("g")
    assert "fetch.wait.max.ms" not in config.producer("t")
    assert config.client() == {"bootstrap.servers": "127.0.0.1:1", "reconnect.backoff.max.ms": "9"}


def test_a_file_is_read(tmp_path: Path) -> None:
    """By its path in the settings."""
    file = tmp_path / "kafka.properties"
    file.write_text("client.id=mine\n")
    assert KafkaConfig.of(settings(file)).client()["client.id"] == "mine"


def test_a_file_that_cannot_be_read_is_a_fault_of_the_setting(tmp_path: Path) -> None:
    """Missing, or not text."""
    with pytest.raises(SettingsError, match=r"KAFKA_PROPERTIES_FILE: cannot be read \(FileNotFoundError\)"):
        KafkaConfig.of(settings(tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"KAFKA_PROPERTIES_FILE: cannot be read \(UnicodeDecodeError\)"):
        KafkaConfig.of(settings(tmp_path / "binary"))


def test_a_property_that_librdkafka_does_not_know_is_a_fault_of_the_setting() -> None:
    """With librdkafka's sentence, before anything is connected."""
    with pytest.raises(SettingsError, match=r'KAFKA_PROPERTIES_FILE: No such configuration property: "sasl\.passwort"'):
        admin_client(KafkaConfig("127.0.0.1:1", {"sasl.passwort": "x"}))
