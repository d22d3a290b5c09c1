"""Jars by Maven: what a committed ``NAME-pom.xml`` lists, put into a cache once.

``python -m services.sandbox.maven POM...`` fills the cache ahead of time, as ``make setup`` does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from services.runtime.errors import Fatal
from services.sandbox.folders import cache_root
from services.sandbox.java import find_java

KAFKA_POM = Path(__file__).with_name("kafka-pom.xml")
_ERROR_LINES = 5


def cached_folder(pom: Path, cache: Path) -> Path:
    """Where the files of a pom belong: another pom, another folder, so that versions never mix."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    return cache / f"{pom.stem.removesuffix('-pom')}-{digest}"


def resolve(pom: Path, cache: Path, environ: Mapping[str, str]) -> Path:
    """The folder with the files that ``pom`` lists; has Maven fetch them if it is not there. May block for minutes.

    The folder appears whole or not at all. Raises Fatal if Maven or Java is missing, or Maven fails.
    """
    folder = cached_folder(pom, cache)
    if folder.is_dir():
        return folder
    find_java(environ)
    program = shutil.which("mvn", path=environ.get("PATH"))
    if program is None:
        raise Fatal("No Maven found (mvn): install maven, e.g. apt-get install maven.")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=cache))
    except OSError as error:
        raise Fatal(f"The cache {cache} cannot be written: {error}. Set XDG_CACHE_HOME to another folder.") from error
    try:
        _copy_dependencies(program, pom, unfinished, environ)
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _copy_dependencies(program: str, pom: Path, folder: Path, environ: Mapping[str, str]) -> None:
    options = ["--quiet", "--batch-mode", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    command = [program, "--file", str(pom.resolve()), *options, "dependency:copy-dependencies"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environ), cwd=folder)
    if run.returncode != 0:
        lines = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("[ERROR]")]
        said = "\n".join(lines[:_ERROR_LINES]) or f"exit code {run.returncode}"
        raise Fatal(f"Maven could not fetch what {pom.name} lists; is its repository within reach?\n{said}")


def _publish(unfinished: Path, folder: Path) -> None:
    unfinished.chmod(0o755)
    try:
        unfinished.rename(folder)
    except OSError:
        # Somebody else was quicker: theirs is as good as ours.
        if not folder.is_dir():
            raise


def main(poms: list[str]) -> int:
    """Fill the cache with what the given poms list; the exit code."""
    environ = os.environ  # noqa: TID251 - composition root
    try:
        for pom in poms:
            resolve(Path(pom), cache_root(environ), environ)
    except Fatal as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
