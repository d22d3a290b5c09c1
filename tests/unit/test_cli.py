"""The command line as far as it needs no server: what it refuses, what it shows, what it never shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli import cli
from services.runtime.settings import known_names

SECRET = "s3cret-value"
FETCHER = {
    "MAILGUN_API_KEY": SECRET,
    "MAILGUN_DOMAINS": "mg.example.com",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
}
ALL = {
    **FETCHER,
    "DATABASE_URL": f"postgresql://mail:{SECRET}@db.example.com/mail",
    "CONSOLE_TOKEN": SECRET,
    "LOG_HASH_KEY": SECRET,
    "SCHEMA_REGISTRY_URL": f"https://mail:{SECRET}@registry.example.com/",
}


def mailriver(*words: str, **environ: str) -> Result:
    """A command with these settings and no others."""
    return CliRunner().invoke(cli, words, env=environ, prog_name="mailriver")


def shown(result: Result) -> dict[str, str]:
    """The settings that `config` printed with a value."""
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_config_shows_every_setting_with_secrets_hidden() -> None:
    """Defaults too; what it prints can be read by a shell."""
    result = mailriver("config", **ALL)
    assert result.exit_code == 0
    assert result.stderr == ""
    settings = shown(result)
    assert set(settings) == {name for name in known_names() if not name.endswith("_FILE") or name.startswith("KAFKA_")}
    assert settings["MAILGUN_DOMAINS"] == "mg.example.com"
    assert settings["FETCH_INTERVAL_SECONDS"] == "5"
    assert settings["MAILGUN_API_KEY"] == settings["DATABASE_URL"] == settings["CONSOLE_TOKEN"] == "********"
    assert settings["SCHEMA_REGISTRY_URL"] == "https://********@registry.example.com/"
    assert SECRET not in result.output


def test_config_shows_what_is_missing_and_all_the_rest() -> None:
    """A missing setting is no fault: not every service needs it."""
    result = mailriver("config", FETCH_PAGE_SIZE="100")
    assert result.exit_code == 0
    assert "# DATABASE_URL is missing; set DATABASE_URL or DATABASE_URL_FILE\n" in result.stdout
    assert "# MAILGUN_DOMAINS is missing; set MAILGUN_DOMAINS\n" in result.stdout
    assert shown(result)["FETCH_PAGE_SIZE"] == "100"
    assert shown(result)["MAILGUN_BASE_URL"] == "https://api.mailgun.net"


def test_config_tells_every_wrong_setting_and_shows_the_others() -> None:
    """Exit 2."""
    wrong = {"FETCH_PAGE_SIZE": "many", "HTTP_PORT": "-1", "FETCH_INTERVALL": "5"}
    result = mailriver("config", **{**ALL, **wrong})
    assert result.exit_code == 2
    assert sorted(line.split(":")[1].strip() for line in result.stderr.splitlines()) == sorted(wrong)
    assert "# FETCH_PAGE_SIZE is wrong\n" in result.stdout
    assert shown(result)["HTTP_HOST"] == "127.0.0.1"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"DATABASE_URL": SECRET}, id="no form of a database URL"),
        pytest.param({"DATABASE_URL": f"postgresql://u:{SECRET}@[db/x"}, id="a broken host"),
        pytest.param({"DATABASE_URL": f"host=db password={SECRET} nonsense=1"}, id="an unknown part"),
        pytest.param({"MAILGUN_BASE_URL": f"https://api:{SECRET}@api.mailgun.net"}, id="a key in the URL of Mailgun"),
        pytest.param({"SCHEMA_REGISTRY_URL": f"https://u:a/{SECRET}@registry.example.com"}, id="a slash in a password"),
        pytest.param({"SCHEMA_REGISTRY_URL": f"https://u:{SECRET}@[registry.example.com"}, id="a broken host of http"),
        pytest.param({"SCHEMA_REGISTRY_URL": f"ftp://u:{SECRET}@registry.example.com"}, id="no http"),
        pytest.param({"MAILGUN_API_KEY_FILE": "/no/such/file"}, id="a secret given twice, once as a missing file"),
    ],
)
def test_no_fault_shows_a_secret(environ: dict[str, str]) -> None:
    """What is wrong is named, its value is not printed."""
    result = mailriver("config", **{**ALL, **environ})
    assert result.exit_code == 2
    (name,) = environ
    assert name.removesuffix("_FILE") in result.stderr
    assert SECRET not in result.output


@pytest.mark.parametrize("url", ["host=db.example.com dbname=mail", "postgres://db.example.com", "postgresql:///mail"])
def test_a_database_is_named_in_any_form_that_libpq_knows(url: str) -> None:
    """A URL or names and values."""
    assert mailriver("config", DATABASE_URL=url).exit_code == 0


def test_a_secret_in_a_file_is_hidden_like_any_other(tmp_path: Path) -> None:
    """Its path is not needed for that."""
    (tmp_path / "key").write_text(f"{SECRET}\n")
    result = mailriver("config", MAILGUN_API_KEY_FILE=str(tmp_path / "key"))
    assert result.exit_code == 0
    assert shown(result)["MAILGUN_API_KEY"] == "********"


@pytest.mark.parametrize("words", [["destroy"], ["run", "mailer"], ["topics", "delete"], ["config", "--all"]])
def test_what_does_not_exist_is_refused(words: list[str]) -> None:
    """Exit 2."""
    result = mailriver(*words)
    assert result.exit_code == 2
    assert "No such" in result.output


def test_the_committed_schemas_pass() -> None:
    """`schemas check` needs no server."""
    result = mailriver("schemas", "check")
    assert result.exit_code == 0
    assert result.stdout == "schemas: compatible with their history\n"


def test_schemas_are_registered_nowhere_without_a_registry() -> None:
    """Exit 2 with what to set."""
    result = mailriver("schemas", "register")
    assert result.exit_code == 2
    assert result.stderr == "mailriver: SCHEMA_REGISTRY_URL: is missing; set it to the registry's URL\n"


def test_a_registry_that_is_away_is_told() -> None:
    """Exit 1, and no password with it."""
    result = mailriver("schemas", "register", SCHEMA_REGISTRY_URL=f"http://u:{SECRET}@127.0.0.1:1/x")
    assert result.exit_code == 1
    assert "the schema registry cannot be asked" in result.stderr
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# mine\nacks=1\n", "KAFKA_PROPERTIES_FILE: line 2: acks is Mailriver's own"),
        ("sasl.passwort=x\n", "KAFKA_PROPERTIES_FILE: No such configuration property"),
        ("security.protocol=tls\n", "KAFKA_PROPERTIES_FILE: Invalid value"),
    ],
)
@pytest.mark.parametrize("words", [("topics", "check"), ("topics", "create"), ("run", "fetcher")], ids=" ".join)
def test_a_wrong_properties_file_is_refused_before_anything_starts(
    words: tuple[str, ...], text: str, fault: str, tmp_path: Path
) -> None:
    """Exit 2, by every command that would use it."""
    (tmp_path / "kafka.properties").write_text(text)
    result = mailriver(*words, **FETCHER, KAFKA_PROPERTIES_FILE=str(tmp_path / "kafka.properties"))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"mailriver: {fault}")


def test_topics_and_tables_need_to_know_where() -> None:
    """Exit 2 with the setting's name."""
    assert mailriver("topics", "create").stderr.startswith("mailriver: KAFKA_BOOTSTRAP_SERVERS: is missing")
    assert mailriver("migrate").stderr.startswith("mailriver: DATABASE_URL: is missing")
