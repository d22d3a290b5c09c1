"""Mailriver's command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from subprocess import CompletedProcess, Popen

from tests.support.tables import ROOT

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


def _environ(settings: Mapping[str, str]) -> dict[str, str]:
    """These settings, and what a process needs besides."""
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **settings}


def mailriver(*words: str, **settings: str) -> CompletedProcess[str]:
    """Run a command to its end, a minute at most."""
    command = [sys.executable, "-m", "services", *words]
    return subprocess.run(
        command, cwd=ROOT, env=_environ(settings), capture_output=True, text=True, timeout=60, check=False
    )


def started(*words: str, **settings: str) -> Popen[str]:
    """Start a command; it is the caller's to end."""
    command = [sys.executable, "-m", "services", *words]
    return Popen(command, cwd=ROOT, env=_environ(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
