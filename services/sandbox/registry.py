"""A real schema registry (Apicurio) as a child process on loopback; it keeps its schemas in memory only."""

from __future__ import annotations

import http.client
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.sandbox.java import find_java
from services.sandbox.maven import resolve
from services.sandbox.ports import LOOPBACK, remembered_ports
from services.sandbox.processes import Launch, ServerProcess

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


class EmbeddedRegistry:
    """One registry. A start on the same folder has the same address again, and none of the schemas.

    Not to be shared between threads. As a context manager it is started, and stopped at the end.
    """

    def __init__(self, data_dir: Path, *, app: Path, port: int | None = None) -> None:
        """``app``: the folder by :func:`registry_app`. ``port``: else a free one."""
        self._data, self._app, self._port = data_dir.absolute(), app.absolute(), port
        self._environ = dict(os.environ)  # noqa: TID251 - composition root
        self._process: ServerProcess | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Its address for ``SCHEMA_REGISTRY_URL``; known once it has been started, and the same after every start."""
        if not self._url:
            raise Fatal("The schema registry has no address before it was started")
        return self._url

    def start(self) -> None:
        """Start it and wait until it answers: 3 to 10 s. Raises Fatal, with the end of its log, if it does not."""
        if self._process is not None and self._process.running:
            raise Fatal("The schema registry runs already")
        self._data.mkdir(parents=True, exist_ok=True)
        fixed = {} if self._port is None else {"registry": self._port}
        port = remembered_ports(self._data / "registry-ports.json", ("registry",), fixed=fixed)["registry"]
        self._url = f"http://{LOOPBACK}:{port}/apis/ccompat/v7"
        self._process = ServerProcess(self._launch(port), SystemClock())
        try:
            self._process.require_ready(lambda: _answers(port), _START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it orderly, by force after 15 s; its schemas are gone then. Nothing happens if it does not run."""
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, port: int) -> Launch:
        runners = list(self._app.glob("*-runner.jar"))
        if len(runners) != 1:
            raise Fatal(f"{self._app} holds no schema registry: remove it, and it is fetched again")
        java = find_java(self._environ)
        return Launch(
            name="The schema registry",
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
