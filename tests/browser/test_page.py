"""The console's page in a real browser, on a real river: each thing that somebody does there."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable

import psycopg
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Locator, Page, expect

from services.contracts import topics
from services.sandbox.demo import DOMAIN
from services.sandbox.stack import CONSOLE
from tests.browser.conftest import Shown, Visit
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(180)]

Opened = Callable[..., Visit]
SCRIPT = "<script>window.broken=1</script><img src=x onerror=window.broken=1>"


def section(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def number(text: str) -> int:
    """The count that a cell begins with: `12 345 98.2 %` has a narrow space in it."""
    return int(re.sub(r"\D", "", re.split(r"[ <]", text.strip())[0]) or 0)


def cell(page: Page, subject: str, column: str) -> Locator:
    row = section(page, "Emails").get_by_role("row").filter(has_text=subject)
    return row.locator(f'[data-label="{column}"]')


def order(page: Page, begin: float, end: float) -> None:
    """Fill in the form and send it."""
    for label, instant in (("Begin (UTC)", begin), ("End (UTC, not included)", end)):
        page.get_by_label(label).fill(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(instant)))
    page.get_by_role("button", name="Schedule the fetch").click()


def newest(shown: Shown) -> str:
    """The subject of the newest email."""
    with psycopg.connect(shown.river.database_url) as connection:
        row = connection.execute("SELECT subject FROM mailriver.emails ORDER BY submitted_at DESC LIMIT 1").fetchone()
    assert row is not None
    return str(row[0])


def test_counts_move_without_a_reload(visit: Opened, shown: Shown) -> None:
    """A newsletter is sent while the page is open: its row appears, and its counts rise."""
    it = visit()
    it.page.evaluate("window.sameDocument = true")
    shown.send(300, seconds=8)
    delivered = cell(it.page, newest(shown), "Delivered")
    expect(delivered).to_be_visible()
    first = number(delivered.inner_text())
    wait_until(lambda: number(delivered.inner_text()) > first, seconds=30, what="the count of delivered rises")
    it.shot("counts")
    wait_until(lambda: number(delivered.inner_text()) > 200, seconds=30, what="most are delivered")
    assert it.page.evaluate("window.sameDocument")
    events = section(it.page, "Loops").locator('[data-label="Events"]')
    assert sum(number(text) for text in events.all_inner_texts()) > 200
    expect(section(it.page, "Loops").locator('[data-label="Last event"]').first).to_have_text(
        re.compile(r"\d\d:\d\d:\d\d\.\d{3}$")
    )


def test_a_range_is_scheduled_and_watched_and_another_is_cancelled(visit: Opened, shown: Shown) -> None:
    """Two ranges are ordered while the fetcher stands still; one is cancelled, the other runs to its end."""
    it = visit()
    page = it.page
    active = page.get_by_role("region", name="Queued and running schedules")
    ended = page.get_by_role("region", name="Schedules that ended")
    fetcher = shown.river.services["fetcher"].pid
    now = time.time()
    os.kill(fetcher, signal.SIGSTOP)
    try:
        order(page, now - 600, now - 5)
        expect(page.get_by_role("status")).to_contain_text("Scheduled as")
        expect(active.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "0")
        order(page, now - 7200, now - 3600)
        expect(active.get_by_role("progressbar")).to_have_count(2)
        it.shot("schedules-queued")
        cancelled = active.get_by_role("row").filter(has_text=time.strftime("%H:%M:%S", time.gmtime(now - 7200)))
        cancelled.get_by_role("button", name=re.compile("^Cancel")).click()
        dialog = page.get_by_role("dialog", name="Cancel this fetch?")
        expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
        it.shot("schedule-cancel")
        dialog.get_by_role("button", name="Cancel the fetch").click()
        expect(page.get_by_role("status")).to_contain_text("is being cancelled")
    finally:
        os.kill(fetcher, signal.SIGCONT)
    expect(ended.get_by_role("row").filter(has_text="canceled")).to_have_count(1, timeout=60_000)
    done = ended.get_by_role("row").filter(has_text="done")
    expect(done).to_have_count(1, timeout=60_000)
    expect(done.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    it.shot("schedules-ended")


def test_a_wrong_range_is_told_at_its_field(visit: Opened) -> None:
    """End before begin, begin in the future, and what lies beyond the retention."""
    it = visit()
    page, now = it.page, time.time()
    order(page, now - 3600, now - 7200)
    expect(page.get_by_label("End (UTC, not included)")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#schedule-end-fault")).to_have_text("End must be after begin.")
    order(page, now + 7200, now - 60)
    expect(page.locator("#schedule-begin-fault")).to_have_text("Begin is in the future.")
    page.get_by_role("button", name="Last 24 hours").click()
    page.get_by_label("Begin (UTC)").fill(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now - 27 * 3600)))
    expect(page.locator(".preview")).to_contain_text("beyond Mailgun's retention of 24 h")
    it.shot("schedule-beyond-retention")


def test_an_email_shows_its_failures_and_batches(visit: Opened, shown: Shown) -> None:
    """As many permanent failures as the database holds; the tabs go by arrow keys; the address opens it again."""
    it = visit()
    page = it.page
    wait_until(lambda: failed_email(shown), seconds=60, what="an email has failures", every=0.5)
    email_id, subject, failures = failed_email(shown) or ("", "", 0)
    section(page, "Emails").get_by_role("link", name=subject).click()
    dialog = page.get_by_role("dialog", name=subject)
    table = dialog.get_by_role("region", name="permanent failures")
    wait_until(
        lambda: table.locator("tbody tr").count() >= min(failures, 50), seconds=20, what="the failures are shown"
    )
    expect(table.locator('[data-label="Code"]').first).to_have_text(re.compile(r"^\d{3}$"))
    it.shot("email-failures")
    dialog.get_by_role("tab", name="Permanent failures").press("ArrowRight")
    expect(dialog.get_by_role("tab", name="Temporary failures")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("region", name="Batches").locator("tbody tr").first).to_be_visible()
    it.shot("email-batches")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.goto(f"{shown.url}/#emails/{email_id}")
    expect(page.get_by_role("dialog", name=subject)).to_be_visible()


def failed_email(shown: Shown) -> tuple[str, str, int] | None:
    with psycopg.connect(shown.river.database_url) as connection:
        return connection.execute(
            "SELECT e.id, e.subject, count(*) FROM mailriver.emails e JOIN mailriver.email_recipient_failures f "
            "ON f.email_id = e.id WHERE f.severity = 'permanent' GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1"
        ).fetchone()


def test_a_dead_letter_is_shown_as_text_and_replayed(visit: Opened, shown: Shown) -> None:
    """What is no Avro ends in the dead letters; its markup is only text; replayed, it is shown so and comes back."""
    it = visit()
    page = it.page
    producer = Producer({"bootstrap.servers": shown.river.bootstrap})
    producer.produce(topics.prefixed(shown.river.prefix, topics.RAW), SCRIPT.encode())
    assert producer.flush(20) == 0
    letters = section(page, "Dead letters")
    letters.get_by_label("Reason").select_option("not_avro")
    letters.get_by_role("button", name=re.compile("^Look at")).first.click()
    dialog = page.get_by_role("dialog", name="Dead letter: not_avro")
    expect(dialog.get_by_label("Payload")).to_have_text(SCRIPT)
    it.shot("dead-letter")
    dialog.get_by_role("button", name="Replay").click()
    page.get_by_role("dialog", name="Replay this dead letter?").get_by_role("button", name="Replay it").click()
    expect(page.get_by_role("status")).to_have_text("1 dead letter replayed.")
    replayed = letters.locator('[data-label="Replayed"]').filter(has_text=re.compile(r"\d\d:\d\d"))
    expect(replayed).to_have_count(1)
    # Its cause is still there, so it comes back as another one.
    expect(letters.locator("tbody tr")).to_have_count(2, timeout=30_000)
    letters.get_by_role("button", name="Replay all of this reason").click()
    page.get_by_role("button", name="Replay all", exact=True).click()
    expect(replayed).to_have_count(2)
    it.shot("dead-letters")
    assert page.evaluate("window.broken") is None


def test_markup_in_a_subject_is_text(visit: Opened, shown: Shown) -> None:
    """In the list and in the email's own view."""
    it = visit()
    with psycopg.connect(shown.river.database_url) as connection:
        connection.execute(
            "INSERT INTO mailriver.emails (id, subject, submitted_at) VALUES ('a/b <i>', %s, now())", (SCRIPT,)
        )
    it.page.get_by_role("link", name=SCRIPT).click()
    expect(it.page.get_by_role("dialog").get_by_role("heading", name=SCRIPT)).to_be_visible()
    expect(it.page.get_by_role("dialog")).to_contain_text("No permanent failure.")
    assert it.page.evaluate("window.broken") is None


def test_a_lost_connection_is_told_and_comes_back(visit: Opened, shown: Shown) -> None:
    """The console is killed: a banner, and grey data; started again: both go, without a reload."""
    it = visit()
    banner = it.page.get_by_text("Connection lost")
    service = shown.river.services[CONSOLE]
    service.kill()
    try:
        expect(banner).to_be_visible()
        expect(it.page.locator(".banner")).to_have_text(
            re.compile(r"Connection lost, data of \d\d:\d\d:\d\d UTC, retrying\.")
        )
        expect(it.page.locator("main")).to_have_class("stale")
        it.shot("connection-lost")
    finally:
        service.start()
    expect(banner).to_have_count(0, timeout=40_000)
    expect(it.page.locator("main")).to_have_class("")
    # What the browser says of the console that is gone; a fault of a module would read otherwise.
    it.errors[:] = [error for error in it.errors if "net::ERR_" not in error]


def test_a_dead_service_shows_as_dead(visit: Opened, shown: Shown) -> None:
    """storage is killed: the page says so in words; started again, the alarm goes."""
    it = visit()
    alarm = it.page.locator(".alarm")
    service = shown.river.services["storage"]
    service.kill()
    try:
        expect(alarm).to_contain_text("storage is dead", timeout=40_000)
        it.shot("dead-service")
    finally:
        service.start()
    expect(alarm).to_have_count(0, timeout=40_000)


def test_all_is_reached_by_keyboard(visit: Opened) -> None:
    """The skip link first; then links, fields and buttons, each visibly focused; a choice is made with Enter."""
    it = visit()
    page = it.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.tagName, e.name || e.innerText || '', s.outlineStyle !== 'none' || e.tagName === 'BODY']; }"
        )
        assert focus[2], f"{focus[:2]} does not show that it has the focus"
        seen.add(focus[1].strip())
        if focus[1] == "Last hour":
            page.keyboard.press("Enter")
        if focus[1] == "Schedule the fetch":
            break
    assert {"domain", "begin", "end", "Last hour", "Schedule the fetch"} <= seen
    expect(page.locator(".preview")).to_contain_text("1 h: began 1 h ago, up to now.")


@pytest.mark.parametrize("look", ["light", "dark", "phone", "phone-dark"])
def test_it_is_accessible_and_fits(visit: Opened, look: str) -> None:
    """Labels, captions, headings in order, contrast of AA, nothing wider than the screen; light, dark, phone."""
    small = {"viewport": {"width": 360, "height": 740}, "has_touch": True} if "phone" in look else {}
    it = visit(**small, color_scheme="dark" if "dark" in look else "light", reduced_motion="reduce")
    page = it.page
    page.get_by_role("button", name="Last 24 hours").click()
    section(page, "Emails").locator("tbody tr").first.wait_for()
    page.locator("#consumers summary").first.click()
    assert page.evaluate(TOO_WIDE) == []
    it.shot(f"page-{look}")
    for name in ("loops", "schedules", "emails", "letters", "consumers"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.evaluate("name => document.getElementById(name).scrollIntoView()", name)
        it.shot(f"page-{look}-{name}")
    assert page.evaluate(ACCESSIBILITY) == []


def test_one_loop_of_the_domain_has_its_row(visit: Opened) -> None:
    """The three loops, under their domain; the filter leaves one."""
    it = visit()
    loops = section(it.page, "Loops")
    expect(loops.get_by_role("rowheader", name=DOMAIN)).to_be_visible()
    expect(loops.locator('th[data-label="Loop"]')).to_have_text(["latest", "latest_opened", "missing"])
    loops.get_by_label("Filter").fill("missing")
    expect(loops.locator('th[data-label="Loop"]')).to_have_text(["missing"])


TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => `${e.tagName} ${e.className}: ${e.textContent.slice(0, 40)}`)"""

ACCESSIBILITY = r"""() => {
  const faults = [];
  const name = e => e.tagName + ' ' + (e.id || e.className || e.textContent.slice(0, 30));
  for (const e of document.querySelectorAll('input, select, textarea'))
    if (!e.labels.length && !e.getAttribute('aria-label')) faults.push('no label: ' + name(e));
  for (const e of document.querySelectorAll('button, a'))
    if (!(e.textContent.trim() || e.getAttribute('aria-label'))) faults.push('no name: ' + name(e));
  for (const e of document.querySelectorAll('table')) {
    if (!e.caption) faults.push('no caption: ' + name(e));
    for (const th of e.querySelectorAll('th')) if (!th.scope) faults.push('no scope: ' + name(th));
  }
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) faults.push('no alt: ' + name(e));
  let level = 0;
  for (const e of document.querySelectorAll('h1, h2, h3, h4')) {
    const next = Number(e.tagName[1]);
    if (next > level + 1) faults.push('heading out of order: ' + name(e));
    level = next;
  }
  if (document.querySelectorAll('main').length !== 1) faults.push('no single main');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of new Set(ids)) if (ids.filter(each => each === id).length > 1) faults.push('twice: #' + id);
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = color => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = e => {
    const chain = [];
    for (let at = e; at; at = at.parentElement) chain.unshift(rgba(getComputedStyle(at).backgroundColor));
    return chain.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!text || e.closest(':disabled') || !e.checkVisibility()) continue;
    const below = ground(e), style = getComputedStyle(e);
    const [one, other] = [light(over(rgba(style.color), below)), light(below)].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (large ? 3 : 4.5)) faults.push('contrast ' + ratio.toFixed(2) + ': ' + name(e));
  }
  return faults;
}"""
