"""Mailgun's Events API over HTTP (docs/mailgun.md says what is relied on)."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from services.fetcher.core.pace import told_to_wait
from services.fetcher.core.page import BadPage, is_same_origin, read_page
from services.fetcher.ports import Answer, PageRequest, Refused, Throttled, Unavailable, Unreadable

MOST_BODY_BYTES = 32 * 1024 * 1024
MOST_ANSWER_SECONDS = 120.0
"""However it trickles in: the time-outs of the client are for each read."""
_USED_UP_SECONDS = 1.0
_MOST_AFTER_FAULT = 60.0
_REFUSALS = frozenset({400, 401, 402, 403, 404})
# What a refusal most likely means; Mailgun answers 401 and 404 also to a key or domain of the other region.
_ADVICE = {
    400: "the request is not understood",
    401: "wrong MAILGUN_API_KEY, or MAILGUN_BASE_URL is of the other region",
    402: "the account is not allowed this",
    403: "the key lacks the role to read events",
    404: "unknown domain, or MAILGUN_BASE_URL is of the other region",
}


class MailgunEvents:
    """Asks for pages; checks all that could be wrong with an answer before anything is believed."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        tag: str | None,
        page_size: int,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        connections: int,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make the client; it connects with the first request.

        ``now``: seconds since 1970 UTC; ``monotonic``: seconds of a clock that never jumps. ``connections``: how many
        requests may be under way at once.
        """
        self._base_url, self._tag, self._page_size = base_url, tag, page_size
        self._now, self._monotonic = now, monotonic
        self._client = httpx.Client(
            auth=("api", api_key),
            timeout=httpx.Timeout(60.0, connect=10.0),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            trust_env=True,
            headers={"User-Agent": "mailriver", "Accept": "application/json"},
            transport=transport,
        )

    def fetch(self, request: PageRequest) -> Answer:
        """See :class:`services.fetcher.ports.EventSource`."""
        if request.url is not None and not is_same_origin(self._base_url, request.url):
            raise Unreadable("the link to the next page leaves the configured host; the key is not sent there")
        try:
            with self._client.stream(*self._call(request)) as response:
                return self._answer(response)
        except (httpx.InvalidURL, UnicodeError):
            raise Unreadable("the link to the next page is no URL") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"Mailgun: {type(error).__name__}: no complete answer") from error

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _call(self, request: PageRequest) -> tuple[str, httpx.URL]:
        if request.url is not None:
            return "GET", httpx.URL(request.url)
        query = {
            "begin": _seconds(request.begin_ms),
            "end": _seconds(request.end_ms),
            "ascending": "yes",
            "limit": str(self._page_size),
        }
        if request.event_types:
            query["event"] = " OR ".join(request.event_types)
        if self._tag:
            query["tags"] = '"{}"'.format(self._tag.replace('"', ""))
        return "GET", httpx.URL(f"{self._base_url}/v3/{request.domain}/events", params=query)

    def _answer(self, response: httpx.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        wait = told_to_wait(headers, self._now())
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Throttled("Mailgun answers 429, too many requests", retry_after=wait)
        if status in _REFUSALS:
            raise Refused(f"Mailgun answers {status}: {_ADVICE[status]}")
        if status >= 500:
            raise Unavailable(f"Mailgun answers {status}", retry_after=min(wait, _MOST_AFTER_FAULT) if wait else None)
        if status != httpx.codes.OK:
            raise Unreadable(f"Mailgun answers {status}, which is neither a page nor an error that is known")
        try:
            page = read_page(self._body(response))
        except BadPage as error:
            kind = headers.get("content-type", "nothing").partition(";")[0][:60]
            raise Unreadable(f"Mailgun answers 200 with {kind}: {error}") from None
        if page.next_url is not None and page.items and not _is_url(page.next_url):
            raise Unreadable("the link to the next page is no URL")
        if page.next_url is not None and page.items and not is_same_origin(self._base_url, page.next_url):
            raise Unreadable("the link to the next page leaves the configured host; is MAILGUN_BASE_URL right?")
        used_up = headers.get("x-ratelimit-remaining") == "0"
        return Answer(page, (wait if wait is not None else _USED_UP_SECONDS) if used_up else None)

    def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        began = self._monotonic()
        for chunk in response.iter_bytes():
            body += chunk
            if self._monotonic() - began > MOST_ANSWER_SECONDS:
                raise Unavailable(f"Mailgun's answer is not complete after {MOST_ANSWER_SECONDS:g} s")
            if len(body) > MOST_BODY_BYTES:
                raise Unreadable(f"Mailgun's answer is larger than {MOST_BODY_BYTES // 1024 // 1024} MB")
        return bytes(body)


def _is_url(link: str) -> bool:
    """Whether a link can be asked at all: what is found out later would be found out after its page is published."""
    try:
        httpx.URL(link)
    except (httpx.InvalidURL, ValueError):
        return False
    return True


def _seconds(instant_ms: int) -> str:
    """Seconds with three decimals, by whole numbers: a float could round up into the next millisecond."""
    return f"{instant_ms // 1000}.{instant_ms % 1000:03d}"
