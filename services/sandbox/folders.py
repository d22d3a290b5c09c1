"""Where the sandbox keeps files: what can be made again in the cache, a run's data in a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def cache_root(environ: Mapping[str, str]) -> Path:
    """The folder of downloads: ``$XDG_CACHE_HOME/mailriver``, or ``~/.cache/mailriver``. It may not exist yet."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "mailriver"


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder below the system's one for temporary files, removed with all that is in it at the end.

    Others may pass through it but not list it: Postgres runs as another user when we are root.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
