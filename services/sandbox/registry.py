"""A real schema registry (Apicurio) as a child process on loopback; it keeps its schemas in memory only."""

from __future__ import annotations

import http.client
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from services.runtime.errors import Fatal
from services.sandbox.embedded import EmbeddedServer, Start
from services.sandbox.java import find_java
from services.sandbox.maven import resolve
from services.sandbox.ports import LOOPBACK
from services.sandbox.processes import Launch

REGISTRY_POM = Path(__file__).with_name("registry-pom.xml")
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 2.0
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # for a quick start


def registry_app(cache: Path, environ: Mapping[str, str]) -> Path:
    """The folder with the registry's program; has Maven fetch it (142 MB) if it is not in the cache. May block.

    The folder appears whole or not at all. Raises Fatal if Maven or Java is missing, or Maven fails.
    """
    archives = resolve(REGISTRY_POM, cache, environ)
    folder = archives.with_name(f"{archives.name}-unpacked")
    if folder.is_dir():
        return folder
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=cache))
    try:
        for archive in archives.glob("*.tar.gz"):
            with tarfile.open(archive) as members:
                members.extractall(unfinished, filter="data")
        unfinished.rename(folder)
    except OSError as error:
        # Somebody else may have been quicker: theirs is as good as ours.
        if not folder.is_dir():
            raise Fatal(f"The schema registry could not be unpacked into {folder}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


class EmbeddedRegistry(EmbeddedServer):
    """One registry. A start on the same folder has the same address again, and none of the schemas."""

    def __init__(self, data_dir: Path, *, app: Path, port: int | None = None) -> None:
        """``app``: the folder by :func:`registry_app`. ``port``: else a free one."""
        super().__init__("The schema registry", data_dir.absolute(), port=port, stop_seconds=_STOP_SECONDS)
        self._app = app.absolute()
        self._environ = dict(os.environ)  # noqa: TID251 - composition root

    @property
    def url(self) -> str:
        """Its address for ``SCHEMA_REGISTRY_URL``; known once it has been started, and the same after every start."""
        return self.address

    @override
    def _prepare(self) -> Start:
        self._data.mkdir(parents=True, exist_ok=True)
        port = self._ports("registry", file="registry-ports.json")["registry"]
        return Start(
            launch=self._launch(port),
            address=f"http://{LOOPBACK}:{port}/apis/ccompat/v7",
            answers=lambda: _answers(port),
            seconds=_START_SECONDS,
        )

    def _launch(self, port: int) -> Launch:
        runners = list(self._app.glob("*-runner.jar"))
        if len(runners) != 1:
            raise Fatal(f"{self._app} holds no schema registry: remove it, and it is fetched again")
        java = find_java(self._environ)
        return Launch(
            name=self._name,
            command=[str(java.program), *_JVM, "-jar", str(runners[0])],
            log=self._data / "registry.log",
            # HTTP_PORT is Mailriver's setting as well: the registry must not take it for its own.
            environ=self._environ
            | {"QUARKUS_HTTP_HOST": LOOPBACK, "QUARKUS_HTTP_PORT": str(port), "HTTP_PORT": str(port)},
        )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/apis/ccompat/v7/subjects")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
