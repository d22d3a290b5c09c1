"""The settings of the embedded broker: one node, quick to start, quick to come back after a kill."""

from __future__ import annotations

import json
from pathlib import Path

from services.runtime.bus.config import MAX_MESSAGE_BYTES
from services.sandbox.ports import LOOPBACK

_STATE_PARTITIONS = 4

LOG4J_PROPERTIES = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def broker_properties(logs: Path, *, port: int, controller_port: int) -> dict[str, str]:
    """Kafka's own settings for a node that keeps its data in ``logs`` and listens on loopback alone."""
    listeners = {"PLAINTEXT": f"{LOOPBACK}:{port}", "CONTROLLER": f"{LOOPBACK}:{controller_port}"}
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": listeners["CONTROLLER"],
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join(f"{name}://{address}" for name, address in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://{address}" for name, address in listeners.items()),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(logs),
        # Topics are declared; a misspelt name is a fault and not a new topic.
        "auto.create.topics.enable": "false",
        **_single_node(),
        **_promptness(),
        **_sizes(),
    }


def _single_node() -> dict[str, str]:
    """State topics without copies, and small: the 50 partitions of the defaults cost seconds at every start."""
    return {
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": str(_STATE_PARTITIONS),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": str(_STATE_PARTITIONS),
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": str(_STATE_PARTITIONS),
    }


def _promptness() -> dict[str, str]:
    """Waits that make sense in a data centre, cut to what suits one machine."""
    return {
        # After a kill the controller waits until the dead broker's registration has expired: 9 s by default.
        "broker.session.timeout.ms": "1500",
        "broker.heartbeat.interval.ms": "300",
        "group.initial.rebalance.delay.ms": "0",
        # Tests want members that are soon missed.
        "group.min.session.timeout.ms": "1000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "log.initial.task.delay.ms": "1000",
        "log.retention.check.interval.ms": "5000",
        "log.cleaner.backoff.ms": "5000",
    }


def _sizes() -> dict[str, str]:
    """Room for the largest record, and no more memory than one machine needs."""
    return {
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.response.max.bytes": str(2 * MAX_MESSAGE_BYTES),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }


def render(properties: dict[str, str]) -> str:
    """The text of a Java properties file, in ASCII."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    # What JSON escapes in a string, and how, is all right in a properties file as well.
    return json.dumps(value)[1:-1]
