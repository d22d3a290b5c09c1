"""A real Apache Kafka as a child process: one KRaft node on loopback, its data in a folder."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from typing_extensions import override

from services.runtime.errors import Fatal
from services.sandbox.embedded import EmbeddedServer, Start
from services.sandbox.java import Java, find_java
from services.sandbox.kafka_config import LOG4J_PROPERTIES, broker_properties, render
from services.sandbox.ports import LOOPBACK, is_open
from services.sandbox.processes import Launch

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ANSWER_SECONDS = 2.0
_log = logging.getLogger("librdkafka")


class EmbeddedKafka(EmbeddedServer):
    """One broker. A new start on the same folder finds its data and its address again, after a kill too."""

    def __init__(self, data_dir: Path, *, libs: Path, port: int | None = None, heap_mb: int = 512) -> None:
        """``libs``: the folder with Kafka's jars, by ``maven.resolve(KAFKA_POM, ...)``. ``port``: else a free one."""
        super().__init__("Kafka", data_dir.absolute(), port=port, stop_seconds=_STOP_SECONDS)
        self._libs, self._heap_mb = libs.absolute(), heap_mb
        self._logs = self._data / "logs"
        self._environ = dict(os.environ)  # noqa: TID251 - composition root
        self._new_archive: Path | None = None

    @property
    def bootstrap(self) -> str:
        """Its address, as clients want it; known once it has been started, and the same after every start."""
        return self.address

    @override
    def stop(self) -> None:
        super().stop()
        self._keep_archive()

    @override
    def kill(self) -> None:
        super().kill()
        if self._new_archive is not None:
            self._new_archive.unlink(missing_ok=True)

    @override
    def _prepare(self) -> Start:
        java = find_java(self._environ)
        self._data.mkdir(parents=True, exist_ok=True)
        ports = self._configure()
        if not self._logs.exists():
            self._format(java, ports)
        port = ports["kafka"]
        return Start(
            launch=self._launch(java),
            address=f"{LOOPBACK}:{port}",
            answers=lambda: _answers(port),
            seconds=_START_SECONDS,
        )

    def _configure(self) -> dict[str, int]:
        ports = self._ports("kafka", "controller")
        self._write_properties(self._data / "server.properties", self._logs, ports)
        (self._data / "log4j2.properties").write_text(LOG4J_PROPERTIES)
        return ports

    def _write_properties(self, file: Path, logs: Path, ports: dict[str, int]) -> None:
        properties = broker_properties(logs, port=ports["kafka"], controller_port=ports["controller"])
        file.write_text(render(properties))

    def _format(self, java: Java, ports: dict[str, int]) -> None:
        """Make the data folder, whole or not at all: it gets its name when all is in it."""
        unfinished, file = self._data / "logs.unfinished", self._data / "format.properties"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_properties(file, unfinished, ports)
        # The letter: one that began with "-" would be taken for an option.
        cluster_id = "m" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        tool = ["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "--standalone"]
        command = [*self._jvm(java), *tool, "--cluster-id", cluster_id, "--config", str(file)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environ)
        if run.returncode != 0:
            raise Fatal(f"Kafka's data folder {self._data} could not be made:\n{run.stdout}{run.stderr}")
        file.unlink()
        unfinished.rename(self._logs)

    def _launch(self, java: Java) -> Launch:
        memory = [f"-Xms{min(256, self._heap_mb)}m", f"-Xmx{self._heap_mb}m", "-XX:+UseSerialGC"]
        arguments = ["kafka.Kafka", str(self._data / "server.properties")]
        return Launch(
            name=self._name,
            command=[*self._jvm(java), *memory, *self._class_sharing(java), *arguments],
            log=self._data / "kafka.log",
            environ=self._environ,
        )

    def _jvm(self, java: Java) -> list[str]:
        log_settings = f"-Dlog4j2.configurationFile={self._data / 'log4j2.properties'}"
        return [str(java.program), "-cp", f"{self._libs}/*", log_settings]

    def _class_sharing(self, java: Java) -> list[str]:
        """Options that halve the time of a start by an archive of loaded classes, or make it when this run ends.

        It is only ever a help: Java goes on without an archive that is broken or another version's.
        """
        archive = self._archive(java)
        self._new_archive = None
        if archive.exists():
            return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        if not os.access(self._libs, os.W_OK):
            return []
        self._new_archive = archive.with_suffix(f".{uuid.uuid4().hex}")
        return [f"-XX:ArchiveClassesAtExit={self._new_archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

    def _archive(self, java: Java) -> Path:
        return self._libs / f"classes-{java.version}.jsa"

    def _keep_archive(self) -> None:
        """Give the archive that the stopped broker has just written, if it has, its name."""
        if self._new_archive is not None and self._new_archive.exists():
            self._new_archive.rename(self._new_archive.with_suffix(".jsa"))


def _answers(port: int) -> bool:
    """Whether a broker tells of itself: an open port is too early."""
    if not is_open(port):
        return False
    # Only a start needs a client; whoever just names this module does without.
    from confluent_kafka import KafkaException  # noqa: PLC0415
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    client = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}"}, logger=_log)
    try:
        return bool(client.list_topics(timeout=_ANSWER_SECONDS).brokers)
    except KafkaException:
        return False
