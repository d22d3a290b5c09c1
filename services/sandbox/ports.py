"""Free ports, chosen once and remembered, so that a server keeps its address over restarts."""

from __future__ import annotations

import socket
from pathlib import Path
from random import SystemRandom

import msgspec

from services.runtime.errors import Fatal

LOOPBACK = "127.0.0.1"
# Below the ports that the system gives to outgoing connections (from 32768 on with Linux): a client that keeps trying
# to reach a server that is down could otherwise be given that very port, and connect to itself.
_LOWEST, _HIGHEST = 15_000, 32_000
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        # As servers do: connections that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def is_open(port: int) -> bool:
    """Whether somebody listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port(taken: set[int]) -> int:
    """A free port that is not in ``taken``. Nothing holds it: somebody else may take it before it is used."""
    numbers = SystemRandom()
    for _ in range(_TRIES):
        port = numbers.randint(_LOWEST, _HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise Fatal(f"No free port found between {_LOWEST} and {_HIGHEST}.")


def remembered_ports(file: Path, names: tuple[str, ...], *, fixed: dict[str, int] | None = None) -> dict[str, int]:
    """The ports of a server by name: ``fixed`` ones as given, others as ``file`` has them, else free ones.

    Writes ``file``. Raises Fatal if a port is in use: who has the address of a server must not find another one there.
    """
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, int]) if file.exists() else {}
    ports = {name: port for name, port in (known | (fixed or {})).items() if name in names}
    for name in names:
        if name not in ports:
            ports[name] = free_port(set(ports.values()))
    for name, port in ports.items():
        if not is_free(port):
            raise Fatal(f"Port {port} ({name}) is in use: stop what listens there, or remove {file} for another one.")
    if ports != known:
        file.write_bytes(msgspec.json.encode(ports))
    return ports
