"""The data folder of the embedded Postgres: made once, whole or not at all, and owned by whom the server runs as."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from services.runtime.errors import Fatal
from services.sandbox.postgres_binaries import reachable
from services.sandbox.processes import RunAs

SUPERUSER = "mailriver"
# Unix allows 107 bytes for the path of a socket; ".s.PGSQL.12345" and a few more come after the folder's.
_LONGEST_SOCKET_DIR = 85


def reachable_folder(wanted: Path, user: RunAs | None) -> Path:
    """``wanted``, or a folder below the system's temporary one, always the same, if ``user`` cannot get to it."""
    if reachable(wanted, user):
        return wanted
    name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"mailriver-postgres-data-{name}"


class DataFolder:
    """What is in it: ``cluster`` (Postgres' own), ``password``, its log, its socket, its port."""

    def __init__(self, path: Path, user: RunAs | None) -> None:
        """``user``: whom the server runs as, if not as ourselves."""
        self.path, self._user = path, user
        self.cluster = path / "cluster"

    @property
    def socket_dir(self) -> Path | None:
        """Where the unix socket goes; None if its path would be too long."""
        return self.path if len(os.fsencode(self.path)) <= _LONGEST_SOCKET_DIR else None

    def prepare(self, binaries: Path, environ: Mapping[str, str]) -> str:
        """Make what is not there yet: 1 s the first time. The superuser's password. Raises Fatal or OSError."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._refuse_foreign()
        self._hand_over(self.path)
        password = self._password()
        if not self.cluster.exists():
            self._initdb(binaries, environ)
        return password

    def _refuse_foreign(self) -> None:
        """Anybody can make folders in the system's temporary one."""
        owners = {os.geteuid()} | ({self._user.uid} if self._user else set())
        if self.path.is_symlink() or self.path.stat().st_uid not in owners:
            raise Fatal(f"{self.path} belongs to somebody else: remove it, or name another folder for Postgres' data.")

    def _hand_over(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.uid, self._user.gid)

    def _password(self) -> str:
        file = self.path / "password"
        if not file.exists():
            unfinished = self.path / "password.unfinished"
            unfinished.touch(mode=0o600)
            unfinished.write_text(secrets.token_hex(16))
            self._hand_over(unfinished)
            unfinished.rename(file)
        return file.read_text()

    def _initdb(self, binaries: Path, environ: Mapping[str, str]) -> None:
        unfinished = self.path / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        options = {
            "pgdata": unfinished,
            "username": SUPERUSER,
            "pwfile": self.path / "password",
            "auth": "scram-sha-256",
            "encoding": "UTF8",
            "locale": "C.UTF-8",
        }
        run = subprocess.run(
            [binaries / "initdb", "--no-sync", *(f"--{name}={value}" for name, value in options.items())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=dict(environ),
            user=self._user.uid if self._user else None,
            group=self._user.gid if self._user else None,
            extra_groups=[] if self._user else None,
        )
        if run.returncode != 0:
            raise Fatal(f"Postgres' data folder {self.path} could not be made:\n{run.stderr or run.stdout}")
        unfinished.rename(self.cluster)
