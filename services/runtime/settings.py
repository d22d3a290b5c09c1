"""Every setting there is, and how settings are read: from the environment, all faults at once.

A setting is named like its field, in capitals. A secret ``X`` can also be given as a file by
``X_FILE``. Names that begin with FETCH_, MAILGUN_ or CONSOLE_ and are not known are faults, since
they are most likely misspelt; with other beginnings they are somebody else's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo

from services.runtime.errors import SettingsError

OWN_PREFIXES = ("FETCH_", "MAILGUN_", "CONSOLE_")
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/]*@")
_HOSTNAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Interval = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _domains(names: tuple[str, ...]) -> tuple[str, ...]:
    lowered = tuple(dict.fromkeys(name.lower() for name in names))
    for name in lowered:
        if not _HOSTNAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a domain name")
    if not lowered:
        raise ValueError("name at least one domain, such as mg.example.com")
    return lowered


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _http_parts(url: str) -> SplitResult | None:
    """The parts of a URL of http or https; None if it is none. Never raises: others' words may show a password."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None


def _base_url(url: str) -> str:
    parts = _http_parts(url)
    if parts is None or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give a URL such as https://api.mailgun.net")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("the key would travel in clear: http is for loopback only, use https")
    if parts.username is not None:
        raise ValueError("it may hold no user or password; the key is MAILGUN_API_KEY")
    return url.rstrip("/")


def _registry_url(url: str) -> str:
    if _http_parts(url) is None:
        raise ValueError("give a URL such as https://registry.example.com")
    return url


def _database_url(url: SecretStr) -> SecretStr:
    # Not at the top: the fetcher needs no database driver.
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        conninfo_to_dict(url.get_secret_value())
    except ProgrammingError:
        # libpq's own words would show the text, and so the password.
        raise ValueError("cannot be read; give a URL such as postgresql://user@db.example.com/mail") from None
    return url


def _delays(values: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(values) <= 3:
        raise ValueError("give one to three delays, such as 60,600,7200")
    return values


class Settings(BaseModel):
    """The base of every group of settings."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, populate_by_name=True, extra="ignore")


class LogSettings(Settings):
    """What is logged, and how addresses are hidden in it."""

    log_level: Annotated[str, BeforeValidator(str.upper), Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    log_hash_key: SecretStr | None = None
    """Key of the hash that stands for an address in logs; without it every process has its own."""


class HttpSettings(LogSettings):
    """Where probes and metrics are served."""

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080


class RegistrySettings(Settings):
    """Where the schemas are."""

    schema_registry_url: Annotated[str, AfterValidator(_registry_url)] | None = None
    """May hold user and password; without it the ids are those of the committed lock file."""


class KafkaSettings(RegistrySettings):
    """How to reach Kafka and the schemas."""

    kafka_bootstrap_servers: Annotated[str, Field(min_length=1)]
    kafka_properties_file: Path | None = None
    """More librdkafka properties, a ``name=value`` a line: TLS, SASL."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=100)] = ""


class DeadLetterSettings(Settings):
    """When a consumer stops instead of draining its topic into the dead letters."""

    dlq_stop_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    dlq_stop_window: Count = 10_000


class ConsumerSettings(DeadLetterSettings, KafkaSettings):
    """What every worker needs."""


class DatabaseSettings(Settings):
    """How to reach Postgres."""

    database_url: Annotated[SecretStr, AfterValidator(_database_url)]


class DomainSettings(Settings):
    """Which domains Mailgun sends for, and how long it keeps their events."""

    mailgun_domains: Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_domains)]
    mailgun_retention_hours: Interval = 24


class MailgunSettings(DomainSettings):
    """Which account of Mailgun to read."""

    mailgun_api_key: SecretStr
    mailgun_base_url: Annotated[str, AfterValidator(_base_url)] = "https://api.mailgun.net"
    mailgun_tag: str | None = None


class FetchSettings(Settings):
    """The loops of the fetcher (design: intervals and margins in seconds)."""

    fetch_interval_seconds: Interval = 5
    fetch_end_margin_seconds: Seconds = 60
    fetch_trust_age_seconds: Seconds = 1800
    fetch_max_events: Count = 10_000
    fetch_page_size: Annotated[int, Field(ge=1, le=300)] = 300
    fetch_concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    fetch_lookback_seconds: Seconds = 1800
    fetch_missing_lookback_seconds: Seconds = 7200
    fetch_requests_per_second: Seconds = 5
    """For the account, all loops together; 0: no bound."""
    fetch_sweep_hours: Seconds = 0


class ProcessorBatchSettings(Settings):
    """How the processor retries."""

    processor_retry_seconds: Annotated[tuple[Interval, ...], BeforeValidator(_split), AfterValidator(_delays)] = (
        60,
        600,
        7200,
    )


class StorageBatchSettings(Settings):
    """How much storage writes in one transaction."""

    storage_batch_events: Annotated[int, Field(ge=1, le=100_000)] = 10_000


class ConsoleAccessSettings(Settings):
    """Who may use the console."""

    console_token: SecretStr | None = None


GROUPS: tuple[type[Settings], ...] = (
    HttpSettings,
    KafkaSettings,
    DeadLetterSettings,
    DatabaseSettings,
    MailgunSettings,
    FetchSettings,
    ProcessorBatchSettings,
    StorageBatchSettings,
    ConsoleAccessSettings,
)

S = TypeVar("S", bound=Settings)


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is a secret: hidden when printed, and can be given as a file."""
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def known_names() -> set[str]:
    """Every name that Mailriver reads from the environment."""
    names: set[str] = set()
    for group in GROUPS:
        for name, field in group.model_fields.items():
            names.add(name.upper())
            if is_secret(field):
                names.add(f"{name.upper()}_FILE")
    return names


def load(kind: type[S], environ: Mapping[str, str], read: Callable[[Path], str] = Path.read_text) -> S:
    """The settings of ``kind`` from the environment. An empty value is as good as none.

    Raises:
        SettingsError: with every fault there is, a sentence each.

    """
    settings, faults = _loaded(kind, environ, read)
    faults += _unknown(environ)
    if settings is None or faults:
        raise SettingsError(faults)
    return settings


def overview(
    environ: Mapping[str, str], read: Callable[[Path], str] = Path.read_text
) -> tuple[dict[str, str], list[str]]:
    """A line about every setting by its name, secrets hidden; and the faults of those that are given.

    A line is ``NAME=value``, or a comment where the setting is missing (which is no fault: not every service
    needs it) or wrong.
    """
    lines: dict[str, str] = {}
    faults = _unknown(environ)
    for group in GROUPS:
        for field_name, field in group.model_fields.items():
            name, alone = field_name.upper(), {field_name: (field.annotation, field)}
            settings, found = _loaded(_model_of(group, alone), environ, read)
            wrong = [fault for fault in found if ": is missing" not in fault]
            faults += wrong
            if settings is not None and not wrong:
                value = shown(settings)[name]
                lines[name] = f"{name}={'' if value is None else value}"
            else:
                lines[name] = f"# {name} is wrong" if wrong else "# " + found[0].replace(":", "", 1)
    return lines, faults


def _model_of(group: type[Settings], fields: dict[str, Any]) -> type[Settings]:
    return create_model(group.__name__, __base__=Settings, **fields)


def _loaded(kind: type[S], environ: Mapping[str, str], read: Callable[[Path], str]) -> tuple[S | None, list[str]]:
    """The settings, unless one is missing or wrong; and all their faults."""
    values, faults = _values(kind, environ, read)
    unreadable = {fault.partition("_FILE:")[0] for fault in faults}
    try:
        return kind.model_validate(values), faults
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            if not each["loc"]:  # of several settings together, which the sentence names
                faults.append(each["msg"].removeprefix("Value error, "))
            elif (name := str(each["loc"][0]).upper()) not in unreadable:
                faults.append(f"{name}: {_sentence(each['type'], each['msg'], name)}")
        return None, faults


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = known_names()
    return [
        f"{name}: no such setting; look at `mailriver config` for those there are"
        for name in sorted(environ)
        if name.startswith(OWN_PREFIXES) and name not in known
    ]


def without_credentials(url: str) -> str:
    """A URL with what it holds of user and password hidden."""
    return _URL_CREDENTIALS.sub("********@", url)


def is_ours(name: str) -> bool:
    """Whether a variable of the environment is, or means to be, a setting of Mailriver; LOG_LEVEL is everybody's."""
    return name != "LOG_LEVEL" and (name in known_names() or name.startswith(OWN_PREFIXES))


def secret_texts(settings: Settings) -> tuple[str, ...]:
    """The secrets among the settings, in clear: for what hides them in logs."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))


def _values(
    kind: type[Settings], environ: Mapping[str, str], read: Callable[[Path], str]
) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    faults: list[str] = []
    for field_name, field in kind.model_fields.items():
        name = field_name.upper()
        if environ.get(name):
            values[name] = environ[name]
        file = environ.get(f"{name}_FILE")
        if not (is_secret(field) and file):
            continue
        if name in values:
            faults.append(f"{name}: given twice, by {name} and by {name}_FILE; keep one of them")
        try:
            text = read(Path(file)).strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{name}_FILE: cannot be read ({type(error).__name__})")
            continue
        if not text:
            faults.append(f"{name}_FILE: is empty")
        values[name] = text
    return values, faults


def _sentence(kind: str, message: str, name: str) -> str:
    if kind == "missing":
        return f"is missing; set {name}" + (f" or {name}_FILE" if f"{name}_FILE" in known_names() else "")
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def shown(settings: Settings) -> dict[str, Any]:
    """The settings in force by their names, secrets and what a URL holds of user and password hidden."""
    hidden: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if is_secret(field):
            value = None if value is None else "********"
        if isinstance(value, str):
            value = without_credentials(value)
        hidden[name.upper()] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return hidden
