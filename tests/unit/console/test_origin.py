"""Which requests come from this machine, or from our own page."""

from __future__ import annotations

import pytest

from services.console.core.origin import is_local, is_local_origin, is_same_origin


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.9.9.9:80", "[::1]:8080", "[::1]"],
)
def test_this_machine_is_local(host: str) -> None:
    """By every name and address of its own."""
    assert is_local(host)
    assert is_local_origin(f"http://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1:8080",
        "0.0.0.0:8080",
        "localhost:port",
        "localhost@example.com",
        "user@localhost",
        "localhost/x",
        "[::1",
        "[fe80::1]",
        "127.1 .example.com",
    ],
)
def test_everything_else_is_not(host: str) -> None:
    """Names that only look like it too."""
    assert not is_local(host)
    assert not is_local_origin(f"http://{host}")


@pytest.mark.parametrize("origin", ["null", "", "localhost", "file://", "ftp://localhost", "http//localhost"])
def test_an_origin_needs_a_scheme_of_the_web(origin: str) -> None:
    """The opaque origin of sandboxed frames and files is nobody's."""
    assert not is_local_origin(origin)
    assert not is_same_origin(origin, "localhost")


@pytest.mark.parametrize(
    ("origin", "host", "is_same"),
    [
        ("https://console.example.com", "console.example.com", True),
        ("https://console.example.com", "console.example.com:443", True),
        ("https://Console.Example.com:443", "console.example.com", True),
        ("http://console.example.com:8080", "console.example.com:8080", True),
        ("http://console.example.com", "console.example.com:8080", False),
        ("https://evil.example.com", "console.example.com", False),
        ("https://console.example.com.evil.example", "console.example.com", False),
        ("https://", "", False),
        ("null", "null", False),
    ],
)
def test_a_page_may_ask_the_host_that_served_it(origin: str, host: str, is_same: bool) -> None:
    """Host and port, the default ones counted."""
    assert is_same_origin(origin, host) is is_same
