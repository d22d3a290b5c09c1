"""`mailriver up`: servers and services kept running on this machine, newsletters sent now and then."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import msgspec
import psycopg
from rich.console import Console

from services.console.settings import ConsoleSettings
from services.fetcher.settings import FetcherSettings
from services.processor.settings import ProcessorSettings
from services.runtime.clock import Deadline, SystemClock
from services.runtime.errors import Fatal, SettingsError
from services.runtime.lifecycle import Stop
from services.runtime.settings import DatabaseSettings, load, without_credentials
from services.sandbox import newsletter as newsletters
from services.sandbox.demo import API_KEY, DOMAIN, LATE_SECONDS, fast_loops
from services.sandbox.folders import temporary_folder
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.ports import is_free
from services.sandbox.progress import FlowDisplay, counted
from services.sandbox.scrape import PORTS, FlowMeter, is_ready
from services.sandbox.stack import CONSOLE, Servers, Stack
from services.storage.settings import StorageSettings

_LOOK_SECONDS = 1.0
_READY_SECONDS = 60.0
_READY_LOOK_SECONDS = 0.3
_COURSE_SECONDS = 60.0


class UpOptions(msgspec.Struct, frozen=True):
    """What the user chose."""

    recipients: int
    """Of each newsletter that is sent through the simulator."""
    every: float
    """Seconds between newsletters."""
    data: Path | None
    """Where the servers' data stays, or None: it goes with the command's end."""


def run_up(options: UpOptions, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or Ctrl-C; the exit code. Blocks.

    Raises:
        Fatal: something is missing on this machine, or does not start; or a service ends again and again.

    """
    console, stop = Console(), Stop()
    try:
        place = contextlib.nullcontext(options.data) if options.data else temporary_folder("mailriver-up")
        with place as data, ExitStack() as exits:
            data.mkdir(parents=True, exist_ok=True)
            environ = _with_files(environ)
            _check(environ)
            console.print("Starting Kafka and Postgres ...")
            stack = exits.enter_context(Stack(data.absolute(), environ, console.print))
            servers = stack.start_servers()
            source = _source(environ, exits, servers, options)
            settings = {
                **source.settings,
                "KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap,
                "DATABASE_URL": servers.database_url,
            }
            # What the user sets wins over what suits a sandbox; but the key decides which Mailgun is asked.
            own = {name: value for name, value in environ.items() if value and name != "MAILGUN_BASE_URL"}
            stack.start_services({name: own.get(name, value) for name, value in settings.items()}, PORTS)
            _wait_ready(stack, console, stop.event)
            _tell(console, stack, settings, environ)
            _keep(stack, source, console, stop.event)
    finally:
        stop.restore()
    return 0


def _tell(console: Console, stack: Stack, settings: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Where everything is. A database of the user's own is told without its password."""
    database_url = settings["DATABASE_URL"]
    if environ.get("DATABASE_URL"):
        database_url = without_credentials(database_url)
    lines = [
        f"KAFKA_BOOTSTRAP_SERVERS={settings['KAFKA_BOOTSTRAP_SERVERS']}",
        f"DATABASE_URL={database_url}",
        f"MAILGUN_BASE_URL={settings['MAILGUN_BASE_URL']}",
        f"CONSOLE=http://127.0.0.1:{PORTS[CONSOLE]}",
        *(f"{name}: http://127.0.0.1:{each.port}/metrics, log {each.log}" for name, each in stack.services.items()),
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _with_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the database's address in it, where it is given as a file."""
    file = environ.get("DATABASE_URL_FILE")
    if not file or environ.get("DATABASE_URL"):
        return dict(environ)
    address = load(DatabaseSettings, {"DATABASE_URL_FILE": file}).database_url.get_secret_value()
    return {**{name: value for name, value in environ.items() if name != "DATABASE_URL_FILE"}, "DATABASE_URL": address}


def _check(environ: Mapping[str, str]) -> None:
    """What would make a service end at once is told before anything is started.

    Raises:
        SettingsError: settings that are wrong.
        Fatal: a port is in use.

    """
    for name, port in PORTS.items():
        if not is_free(port):
            raise Fatal(f"port {port} ({name}) is in use; is another `mailriver up` running?")
    embedded = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "DATABASE_URL": "postgresql://127.0.0.1/mailriver"}
    given = {name for name in embedded if environ.get(name) or environ.get(f"{name}_FILE")}
    simulated = {} if _has_key(environ) else fast_loops("http://127.0.0.1:1")
    whole = {**simulated, **{name: value for name, value in embedded.items() if name not in given}, **environ}
    faults = []
    for kind in (FetcherSettings, ProcessorSettings, StorageSettings, ConsoleSettings):
        try:
            load(kind, whole)
        except SettingsError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise SettingsError(faults)


def _has_key(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("MAILGUN_API_KEY") or environ.get("MAILGUN_API_KEY_FILE"))


def _wait_ready(stack: Stack, console: Console, stop: Event) -> None:
    """Wait until every service says so, a minute at most: what is not ready then is seen in the table."""
    deadline = Deadline(SystemClock(), _READY_SECONDS)
    while not deadline.passed and not all(is_ready(port) for port in PORTS.values()):
        if stop.wait(_READY_LOOK_SECONDS):
            return
        _revive(stack, console)


class _Source(msgspec.Struct, frozen=True):
    """Mailgun, or the simulator."""

    settings: dict[str, str]
    shown: Callable[[], int]
    """How many events it shows by now, as far as anybody knows."""
    send: Callable[[], int]
    """Send a newsletter if it is time for one; to how many, 0 if it is not time."""


def _source(environ: Mapping[str, str], exits: ExitStack, servers: Servers, options: UpOptions) -> _Source:
    if _has_key(environ):
        base_url = environ.get("MAILGUN_BASE_URL") or "https://api.mailgun.net"
        return _Source({"MAILGUN_BASE_URL": base_url, "HTTP_HOST": "127.0.0.1"}, lambda: 0, lambda: 0)
    clock = SystemClock()
    simulator = exits.enter_context(MailgunSimulator(Scenario(domains=(DOMAIN,), api_key=API_KEY), clock=clock.now))
    sender = _Sender(servers.database_url, simulator, options, clock)
    return _Source(fast_loops(simulator.base_url), sender.shown, sender.send)


class _Sender:
    """Sends a newsletter every so often."""

    def __init__(self, database_url: str, simulator: MailgunSimulator, options: UpOptions, clock: SystemClock) -> None:
        self._database_url, self._simulator, self._options, self._clock = database_url, simulator, options, clock
        self._next = clock.monotonic()
        self._seed = int(clock.now())
        self._visible: list[float] = []

    def shown(self) -> int:
        return bisect_right(self._visible, self._clock.now())

    def send(self) -> int:
        if self._clock.monotonic() < self._next:
            return 0
        self._next = self._clock.monotonic() + self._options.every
        self._seed += 1
        newsletter = newsletters.plan(
            self._options.recipients,
            seed=self._seed,
            start=self._clock.now() + 1.0,
            duration_seconds=_COURSE_SECONDS,
            late_seconds=LATE_SECONDS,
            domain=DOMAIN,
        )
        with psycopg.connect(self._database_url) as connection:
            newsletters.insert(newsletter, connection)
        self._simulator.add(DOMAIN, newsletter.events)
        self._visible = sorted([*self._visible, *(event.visible_at for event in newsletter.events)])
        return self._options.recipients


def _keep(stack: Stack, source: _Source, console: Console, stop: Event) -> None:
    console.print("Running; Ctrl-C ends it.")
    meter = FlowMeter(PORTS)
    with FlowDisplay(console) as display:
        while not stop.wait(_LOOK_SECONDS):
            if recipients := source.send():
                console.print(f"A newsletter to {counted(recipients)} recipients")
            _revive(stack, console)
            display.show(meter.read(source.shown()), "running")


def _revive(stack: Stack, console: Console) -> None:
    for name in stack.revive():
        log = stack.services[name].log
        console.print(f"{name} had died and was started again; its log: {log}", highlight=False, soft_wrap=True)
