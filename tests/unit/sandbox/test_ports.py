"""Ports that are free, and stay the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.sandbox.ports import free_port, is_free, is_open, remembered_ports


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_open_and_not_free(listener: int) -> None:
    assert is_open(listener)
    assert not is_free(listener)


def test_a_free_port_is_not_one_that_the_system_gives_to_clients() -> None:
    port = free_port(set())
    assert is_free(port)
    assert not is_open(port)
    assert 1024 < port < 32768


def test_ports_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    ports = remembered_ports(file, ("one", "two"))
    assert len(set(ports.values())) == 2
    assert remembered_ports(file, ("one", "two")) == ports


def test_a_fixed_port_goes_before_the_remembered_one(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    ports = remembered_ports(file, ("one", "two"))
    other = free_port(set(ports.values()))
    assert remembered_ports(file, ("one", "two"), fixed={"one": other}) == {"one": other, "two": ports["two"]}


def test_a_port_in_use_is_refused_with_what_to_do(tmp_path: Path, listener: int) -> None:
    with pytest.raises(Fatal, match=rf"Port {listener} \(one\) is in use: stop what listens there"):
        remembered_ports(tmp_path / "ports.json", ("one",), fixed={"one": listener})
