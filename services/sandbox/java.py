"""The machine's Java runtime, which Kafka and the schema registry need."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from services.runtime.errors import Fatal

OLDEST = 17
_ADVICE = f"install a Java runtime {OLDEST} or later, e.g. apt-get install openjdk-17-jre-headless"
_VERSION = re.compile(r'version "(?P<full>(?P<first>\d+)(\.(?P<second>\d+))?[^"]*)"')


class Java(msgspec.Struct, frozen=True):
    """A Java runtime that is new enough."""

    program: Path
    version: str
    """As it calls itself, such as ``17.0.15``."""


def parse_version(text: str) -> tuple[int, str] | None:
    """The feature release and the full version in what ``java -version`` prints; None if there is none."""
    found = _VERSION.search(text)
    if found is None:
        return None
    first = int(found["first"])
    # Up to Java 8 the versions were called 1.8 and so on.
    feature = int(found["second"] or 0) if first == 1 else first
    return feature, found["full"]


def find_java(environ: Mapping[str, str]) -> Java:
    """The runtime of ``JAVA_HOME``, else the one on ``PATH``. Raises Fatal if it is missing or too old."""
    home = environ.get("JAVA_HOME")
    named = str(Path(home) / "bin" / "java") if home else "java"
    program = shutil.which(named, path=environ.get("PATH"))
    if program is None:
        raise Fatal(f"No Java runtime found ({named}): {_ADVICE}.")
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, env=dict(environ))
    parsed = parse_version(answer.stderr + answer.stdout)
    if parsed is None:
        raise Fatal(f"{program} does not tell its version: {_ADVICE}.")
    feature, full = parsed
    if feature < OLDEST:
        raise Fatal(f"{program} is Java {full}, which is too old: {_ADVICE}.")
    return Java(Path(program), full)
