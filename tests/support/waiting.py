"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

import psycopg

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, seconds: float, what: str, every: float = 0.1) -> T:
    """The first true answer of ``condition``; fails with ``what`` when ``seconds`` have passed without one."""
    deadline, pause = time.monotonic() + seconds, Event()
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last answer was {answer!r}")
        pause.wait(every)
    return answer


def await_lock(watcher: psycopg.Connection, application_name: str) -> None:
    """Wait until a session waits for a lock; the server does the waiting, at most 10 s."""
    watcher.execute("SET statement_timeout = '10s'")
    watcher.execute(_SESSION_WAITS.format(application_name=application_name))


_SESSION_WAITS = """
DO $$ BEGIN
  LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN EXISTS (
      SELECT FROM pg_stat_activity WHERE application_name = '{application_name}' AND wait_event_type = 'Lock');
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$
"""
