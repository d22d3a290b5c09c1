"""Whether a request comes from this machine, or from our own page: by its headers Host and Origin."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def is_local(authority: str) -> bool:
    """Whether ``host`` or ``host:port`` names this machine: localhost, 127.0.0.0/8 or ::1."""
    host = _split(f"//{authority}")[0]
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_local_origin(origin: str) -> bool:
    """Whether an Origin is a page of this machine; the opaque ``null`` is not."""
    scheme, _, authority = origin.partition("://")
    return scheme in _PORTS and is_local(authority)


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` asks the very host that served it."""
    scheme, _, authority = origin.partition("://")
    if scheme not in _PORTS:
        return False
    (name, port), (own_name, own_port) = _split(f"//{authority}"), _split(f"//{host}")
    default = _PORTS[scheme]
    return name != "" and (name, port or default) == (own_name, own_port or default)


def _split(url: str) -> tuple[str, int | None]:
    """Host in lower case and port; an empty host if it is no authority and nothing else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return "", None
    return host, port
