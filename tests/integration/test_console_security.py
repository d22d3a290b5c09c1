"""Who may use the console, and what it refuses: over HTTP, against the real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.console import DOMAIN, RunningConsole
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics

pytestmark = pytest.mark.integration

TOKEN = "a-token-of-the-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ORDER = {"domain": DOMAIN, "begin": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
PROBES = ("/livez", "/readyz", "/startupz", "/metrics")


@pytest.fixture(scope="module")
def prefix(kafka: KafkaServer) -> str:
    create_topics(kafka.bootstrap, "security.")
    return "security."


@pytest.fixture(scope="module")
def open_console(kafka: KafkaServer, prefix: str) -> Iterator[RunningConsole]:
    """Without a token: for this machine alone."""
    with RunningConsole(kafka.bootstrap, prefix) as running:
        yield running.await_ready()


@pytest.fixture(scope="module")
def guarded(kafka: KafkaServer, prefix: str) -> Iterator[RunningConsole]:
    """With a token."""
    with RunningConsole(kafka.bootstrap, prefix, {"CONSOLE_TOKEN": TOKEN}) as running:
        yield running.await_ready()


@pytest.fixture
def locked(kafka: KafkaServer, prefix: str) -> Iterator[RunningConsole]:
    """With a token, and nobody has tried to log in yet."""
    with RunningConsole(kafka.bootstrap, prefix, {"CONSOLE_TOKEN": TOKEN}) as running:
        yield running.await_ready()


def error_of(answer: httpx.Response) -> str:
    """The text of a refusal, which has one shape."""
    content = answer.json()
    assert list(content) == ["error"]
    assert answer.headers["cache-control"] == "no-store"
    return str(content["error"])


@pytest.mark.parametrize("host", ["evil.example.com", "10.0.0.1:8080", "localhost.evil.example.com"])
def test_without_a_token_a_foreign_host_is_refused(open_console: RunningConsole, host: str) -> None:
    """A name that an attacker lets point to 127.0.0.1 (DNS rebinding) gives itself away by it."""
    for path in ("/", "/api/loops", "/api/stream", "/login", "/nothing"):
        answer = open_console.http.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert error_of(answer).startswith("Host: ")


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://localhost.evil.example.com"])
def test_without_a_token_a_foreign_origin_is_refused(open_console: RunningConsole, origin: str) -> None:
    """Reading too."""
    for method in ("GET", "POST", "DELETE"):
        answer = open_console.http.request(method, "/api/loops", headers={"Origin": origin})
        assert answer.status_code == 403
        assert error_of(answer).startswith("Origin: ")


@pytest.mark.parametrize("headers", [{}, {"Host": "localhost:8080"}, {"Origin": "http://127.0.0.1:8080"}])
def test_without_a_token_this_machine_may_ask(open_console: RunningConsole, headers: dict[str, str]) -> None:
    """By each of its names."""
    assert open_console.http.get("/api/loops", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Cookie": "mailriver_session=session.AAAAAA.x"},
        {"Cookie": f"mailriver_session={TOKEN}"},
    ],
)
def test_with_a_token_nobody_comes_in_without_it(guarded: RunningConsole, headers: dict[str, str]) -> None:
    """The API says 401, the stream too, whatever there is or is not at the path."""
    for method, path in (("GET", "/api/loops"), ("GET", "/api/stream"), ("POST", "/api/schedules"), ("GET", "/api/x")):
        answer = guarded.http.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "CONSOLE_TOKEN" in error_of(answer)
        assert TOKEN not in answer.text


def test_the_page_leads_to_the_login(guarded: RunningConsole) -> None:
    """A person is shown where to give the token."""
    answer = guarded.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert guarded.http.post("/").status_code == 401
    form = guarded.http.get("/login")
    assert form.status_code == 200
    assert 'name="token"' in form.text


@pytest.mark.parametrize("headers", [{"Host": "console.example.com"}, {"Origin": "https://evil.example.com"}])
def test_the_bearer_may_read_from_anywhere(guarded: RunningConsole, headers: dict[str, str]) -> None:
    """The console has a name of its own then."""
    assert guarded.http.get("/api/loops", headers={**BEARER, **headers}).status_code == 200


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("headers", [{}, {"Host": "10.1.2.3:8080"}, {"Origin": "https://evil.example.com"}])
def test_probes_and_metrics_need_nothing(
    guarded: RunningConsole, open_console: RunningConsole, path: str, headers: dict[str, str]
) -> None:
    """A kubelet asks by the pod's address."""
    for running in (guarded, open_console):
        answer = running.http.get(path, headers=headers)
        assert answer.status_code == 200
        if path == "/metrics":
            assert answer.headers["content-type"].startswith("text/plain")
            assert "mailriver_console_requests_total{" in answer.text
        else:
            assert answer.json() == {"ok": True, "faults": {}}


def test_the_token_gives_a_session(locked: RunningConsole) -> None:
    """Which the cookie carries, until it is given back."""
    answer = locked.http.post("/login", data={"token": f" {TOKEN} "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert locked.http.get("/api/loops").status_code == 200
    assert locked.http.get("/").status_code != 303
    answer = locked.http.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert locked.http.get("/api/loops").status_code == 401


def test_behind_https_the_cookie_is_for_https(locked: RunningConsole) -> None:
    """The proxy says that the browser came so."""
    answer = locked.http.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in answer.headers["set-cookie"]


def test_a_session_ends_with_its_token(kafka: KafkaServer, prefix: str, locked: RunningConsole) -> None:
    """A new token makes all cookies of the old one void."""
    locked.http.post("/login", data={"token": TOKEN})
    cookie = {"Cookie": f"mailriver_session={locked.http.cookies['mailriver_session']}"}
    with RunningConsole(kafka.bootstrap, prefix, {"CONSOLE_TOKEN": "another"}) as other:
        assert other.http.get("/api/loops", headers=cookie).status_code == 401


def test_guessing_is_bounded(locked: RunningConsole) -> None:
    """Ten wrong ones a minute; then even the right one has to wait. The bearer is not locked out by it."""
    for _ in range(10):
        answer = locked.http.post("/login", data={"token": "guess"})
        assert answer.status_code == 401
        assert "This is not the token." in answer.text
    answer = locked.http.post("/login", data={"token": TOKEN})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "60"
    assert "set-cookie" not in answer.headers
    assert locked.counted("mailriver_console_refused_total", reason="login") == 11
    assert locked.http.get("/api/loops", headers=BEARER).status_code == 200


@pytest.mark.parametrize("data", [{}, {"token": ""}, {"other": TOKEN}])
def test_a_login_without_a_token_is_refused(locked: RunningConsole, data: dict[str, str]) -> None:
    """As a wrong one is."""
    assert locked.http.post("/login", data=data).status_code == 401


def test_a_login_that_uploads_a_file_is_refused(locked: RunningConsole) -> None:
    """It is no form of ours."""
    answer = locked.http.post("/login", files={"token": ("token", TOKEN)})
    assert answer.status_code in (400, 401)


def test_without_a_token_there_is_nothing_to_log_in_to(open_console: RunningConsole) -> None:
    """It leads to the page."""
    for method, path in (("GET", "/login"), ("POST", "/login"), ("POST", "/logout")):
        answer = open_console.http.request(method, path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/schedules"), ("DELETE", "/api/schedules/x"), ("POST", "/login"), ("POST", "/logout")],
)
def test_with_a_token_a_foreign_page_changes_nothing(
    guarded: RunningConsole, method: str, path: str, origin: str
) -> None:
    """Even if a browser sent the right token along."""
    answer = guarded.http.request(method, path, headers={**BEARER, "Origin": origin})
    assert answer.status_code == 403
    assert error_of(answer).startswith("Origin: ")


def test_our_own_page_may_change_things(guarded: RunningConsole) -> None:
    """Its Origin is the Host that is asked."""
    answer = guarded.http.post("/api/schedules", json=ORDER, headers={**BEARER, "Origin": guarded.url})
    assert answer.status_code == 202


def many_bytes() -> Iterator[bytes]:
    """10 MB in pieces, without saying so beforehand."""
    for _ in range(160):
        yield b" " * 65_536


def test_ten_megabytes_are_refused(open_console: RunningConsole) -> None:
    """Whether they are announced or not."""
    for body in (b" " * 10_000_000, many_bytes()):
        answer = open_console.http.post("/api/schedules", content=body)
        assert answer.status_code == 413
        assert error_of(answer) == "the body is larger than 65536 bytes"


def test_a_body_of_just_the_bound_is_read(open_console: RunningConsole) -> None:
    """One byte more is not."""
    body = json.dumps(ORDER).encode()
    answers = [open_console.http.post("/api/schedules", content=body.ljust(size)) for size in (65_536, 65_537)]
    assert [answer.status_code for answer in answers] == [202, 413]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"domain": "\xff"}', "is no JSON"),
        (b"[" * 60_000, "another shape"),
        (b'{"domain":' * 6_000, "another shape"),
        (b"null", "another shape"),
        (b"[]", "another shape"),
        (b'{"domain": 1}', "`$.domain`"),
        (json.dumps({**ORDER, "event_types": "failed"}).encode(), "`$.event_types`"),
        (json.dumps({**ORDER, "event_types": [None]}).encode(), "`$.event_types[0]`"),
        (json.dumps({**ORDER, "<script>": 1}).encode(), "unknown field"),
        (json.dumps({"domain": DOMAIN}).encode(), "missing required field"),
        (json.dumps({**ORDER, "end": ORDER["begin"]}).encode(), "is not after begin"),
        (json.dumps({**ORDER, "end": "9999-01-01T00:00:00Z"}).encode(), "is in the future"),
        (json.dumps({**ORDER, "begin": "2026-01-01T00:00:00"}).encode(), "has no zone"),
        (json.dumps({**ORDER, "domain": "other.example.com"}).encode(), "none of MAILGUN_DOMAINS"),
        (json.dumps({**ORDER, "event_types": ["bounced"]}).encode(), "no type of Mailgun's"),
    ],
)
def test_what_is_wrong_in_an_order_is_said(open_console: RunningConsole, body: bytes, says: str) -> None:
    """422, and JSON that no browser takes for a page."""
    answer = open_console.http.post("/api/schedules", content=body)
    assert answer.status_code == 422
    assert says in error_of(answer)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after=x", "after=bnVsbA==", "limit=-1"])
@pytest.mark.parametrize("path", ["/api/loops", "/api/consumers"])
def test_a_wrong_page_of_a_list_is_refused(open_console: RunningConsole, path: str, query: str) -> None:
    """422 with the parameter's name."""
    answer = open_console.http.get(f"{path}?{query}")
    assert answer.status_code == 422
    assert error_of(answer).startswith(query.partition("=")[0])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/loops", 405),
        ("POST", "/api/loops", 405),
        ("GET", "/api/schedules", 405),
        ("PATCH", "/api/schedules/x", 405),
        ("POST", "/api/stream", 405),
        ("DELETE", "/login", 405),
        ("GET", "/logout", 405),
        ("POST", "/livez", 405),
        ("GET", "/nothing", 404),
        ("GET", "/api/loops/", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("DELETE", "/api/schedules/unknown", 404),
        ("DELETE", "/api/schedules/%00", 404),
    ],
)
def test_wrong_methods_and_paths_have_the_same_shape(
    open_console: RunningConsole, method: str, path: str, status: int
) -> None:
    """Nobody has to read HTML to learn of it."""
    answer = open_console.http.request(method, path)
    assert answer.status_code == status
    assert error_of(answer)


def test_every_answer_has_the_headers_of_security(guarded: RunningConsole) -> None:
    """Refusals and probes too."""
    answers = [
        guarded.http.get("/api/loops", headers=BEARER),
        guarded.http.get("/api/loops"),
        guarded.http.get("/"),
        guarded.http.get("/login"),
        guarded.http.get("/livez"),
        guarded.http.get("/nothing", headers=BEARER),
        guarded.http.post("/api/schedules", content=b"x" * 100_000, headers=BEARER),
    ]
    for answer in answers:
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "connect-src": "'self'",
            "img-src": "'self' data:",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
        }
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_requests_and_refusals_are_counted(locked: RunningConsole) -> None:
    """By route, never by what somebody typed."""
    locked.http.get("/api/loops", headers=BEARER)
    locked.http.get("/api/loops")
    locked.http.get("/api/whatever", headers=BEARER)
    locked.http.delete("/api/schedules/some-id", headers=BEARER)
    name = "mailriver_console_requests_total"
    assert locked.counted(name, endpoint="/api/loops", code="2xx") == 1
    assert locked.counted(name, endpoint="/api/schedules/{id}", code="4xx") == 1
    assert locked.counted(name, endpoint="other", code="4xx") == 2
    assert locked.counted("mailriver_console_refused_total", reason="token") == 1
