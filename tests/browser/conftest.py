"""Chromium, and a river with its console for it to look at."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from services.runtime.clock import SystemClock
from services.sandbox import newsletter as newsletters
from services.sandbox.demo import API_KEY, DOMAIN
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.newsletter import Newsletter
from services.sandbox.stack import CONSOLE, SERVICES
from tests.support.river import River
from tests.support.servers import KafkaServer, PostgresServer, temporary_database
from tests.support.tables import ROOT
from tests.support.waiting import wait_until

SCREENSHOTS = ROOT / "build" / "screenshots"
_GIVEN = os.environ.get("CHROMIUM")
_EXPECT_MILLIS = 20_000


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or the one that ``CHROMIUM`` names; without a window."""
    program = _GIVEN or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one in CHROMIUM")
    expect.set_options(timeout=_EXPECT_MILLIS)
    # As root, as in a container, Chromium refuses to make its sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Visit:
    """A visit to a page, and what went wrong in it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self._origin = page, origin
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.errors.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith(self._origin):
            self.foreign.append(url)

    def shot(self, name: str) -> None:
        """Keep what is seen as a file of the test run."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


class Shown(msgspec.Struct, frozen=True):
    """A river whose console can be visited."""

    river: River
    simulator: MailgunSimulator
    url: str

    def send(self, recipients: int, *, seconds: float) -> Newsletter:
        """Send a newsletter, whose events become visible in the next ``seconds``."""
        clock = SystemClock()
        newsletter = newsletters.plan(
            recipients,
            seed=uuid4().int % 1_000_000_000,
            start=clock.now(),
            duration_seconds=seconds,
            late_seconds=0.5,
            domain=DOMAIN,
        )
        with psycopg.connect(self.river.database_url) as connection:
            newsletters.insert(newsletter, connection)
        self.simulator.add(DOMAIN, newsletter.events)
        return newsletter


@pytest.fixture(scope="session")
def shown(kafka: KafkaServer, postgres: PostgresServer, _migrated: str, servers_folder: Path) -> Iterator[Shown]:
    """The whole river with its console, on topics and a database of these tests, with a newsletter under way."""
    folder = servers_folder / "browser"
    folder.mkdir()
    scenario = Scenario(domains=(DOMAIN,), api_key=API_KEY)
    with (
        temporary_database(postgres, template=_migrated) as database_url,
        MailgunSimulator(scenario, clock=SystemClock().now) as simulator,
        River(
            bootstrap=kafka.bootstrap,
            database_url=database_url,
            prefix=f"t{uuid4().hex[:12]}.",
            base_url=simulator.base_url,
            folder=folder,
            settings={"FETCH_PAGE_SIZE": "50"},
            names=(*SERVICES, CONSOLE),
        ) as river,
    ):
        river.start()
        it = Shown(river, simulator, f"http://127.0.0.1:{river.services[CONSOLE].port}")
        it.send(400, seconds=10)
        yield it


@pytest.fixture
def visit(chromium: Browser, shown: Shown) -> Iterator[Callable[..., Visit]]:
    """Opens the page, with any options of a browser context. At the end: no error, no request to another host."""
    visits: list[Visit] = []

    def opened(path: str = "/", **options: object) -> Visit:
        context = chromium.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})  # type: ignore[arg-type]
        it = Visit(context.new_page(), shown.url)
        visits.append(it)
        # The console may still be starting.
        wait_until(lambda: _answers(shown.url), seconds=30, what="the console answers", every=0.2)
        it.page.goto(shown.url + path)
        expect(it.page.locator(".live")).to_have_text(re.compile("^Live"))
        return it

    yield opened
    for each in visits:
        assert each.errors == []
        assert each.foreign == []
        each.page.context.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
