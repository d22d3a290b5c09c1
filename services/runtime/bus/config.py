"""librdkafka's configuration: what a user may add, and what the promises need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.runtime.errors import SettingsError
from services.runtime.settings import KafkaSettings

# Whoever changes one of these breaks a promise (nothing lost, nothing twice), so they are refused.
RESERVED = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "isolation.level",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "partitioner",
        "request.required.acks",
        "transactional.id",
    }
)

SESSION_TIMEOUT_MS = 10_000
TRANSACTION_TIMEOUT_MS = 15_000
MAX_POLL_INTERVAL_MS = 120_000
# The default of a minute would let a step that waits for a broker in silence pass for dead.
SOCKET_TIMEOUT_MS = 10_000
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

CONSUMER: dict[str, Any] = {
    "session.timeout.ms": SESSION_TIMEOUT_MS,
    "heartbeat.interval.ms": 2_000,
    "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
    # What is fetched ahead, in all partitions together: bounds the memory of a consumer with a backlog.
    # (One answer to a fetch comes on top of that; a record larger than these bounds is fetched all the same.)
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 8_192,
    "fetch.message.max.bytes": 128 * 1024,
    "fetch.max.bytes": MAX_MESSAGE_BYTES,
    "fetch.wait.max.ms": 100,
    # How soon a full queue is looked at again; the default of a second would hold a backlog up.
    "fetch.queue.backoff.ms": 5,
    "fetch.error.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2_000,
    "socket.timeout.ms": SOCKET_TIMEOUT_MS,
    # A member that was told of its topics while the broker came back (and knew no leaders yet) joins its group at the
    # next refresh, and not before: with the default of five minutes it stood still for so long.
    "topic.metadata.refresh.interval.ms": 10_000,
}
PRODUCER: dict[str, Any] = {
    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "linger.ms": 2,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 16_384,
    "reconnect.backoff.max.ms": 2_000,
    "socket.timeout.ms": SOCKET_TIMEOUT_MS,
}
_CONSUMER_ONLY = CONSUMER.keys() - PRODUCER.keys()
_PRODUCER_ONLY = PRODUCER.keys() - CONSUMER.keys()


def parse_properties(text: str, source: str = "KAFKA_PROPERTIES_FILE") -> dict[str, str]:
    """The ``name=value`` lines of a properties file; ``#`` and ``!`` begin a comment.

    Raises:
        SettingsError: for lines that are no property, and for properties that would break a promise.

    """
    properties: dict[str, str] = {}
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals or not name:
            faults.append(f"{source}: line {number} is not name=value")
        elif name in RESERVED:
            faults.append(f"{source}: line {number}: {name} is Mailriver's own, its promises depend on it; remove it")
        else:
            properties[name] = value
    if faults:
        raise SettingsError(faults)
    return properties


class KafkaConfig:
    """Makes the configuration of each client from the settings."""

    def __init__(self, bootstrap_servers: str, properties: dict[str, str] | None = None) -> None:
        """``properties``: the user's own, which override ours."""
        self._bootstrap = bootstrap_servers
        self._properties = properties or {}

    @classmethod
    def of(cls, settings: KafkaSettings) -> KafkaConfig:
        """From the settings; reads the properties file.

        Raises:
            SettingsError: if the file cannot be read or has a fault.

        """
        file: Path | None = settings.kafka_properties_file
        if file is None:
            return cls(settings.kafka_bootstrap_servers)
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError([f"KAFKA_PROPERTIES_FILE: cannot be read ({type(error).__name__})"]) from None
        return cls(settings.kafka_bootstrap_servers, parse_properties(text))

    def client(self) -> dict[str, Any]:
        """For an admin client."""
        own = _CONSUMER_ONLY | _PRODUCER_ONLY
        return {**{k: v for k, v in self._properties.items() if k not in own}, "bootstrap.servers": self._bootstrap}

    def consumer(self, group: str) -> dict[str, Any]:
        """For a member of a consumer group, reading what is committed, committing only when told to."""
        return {
            **CONSUMER,
            **{k: v for k, v in self._properties.items() if k not in _PRODUCER_ONLY},
            "bootstrap.servers": self._bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }

    def producer(self, transactional_id: str | None = None) -> dict[str, Any]:
        """For an idempotent producer that partitions as Java's clients do; a transactional one, if given an id."""
        return {
            **PRODUCER,
            **{k: v for k, v in self._properties.items() if k not in _CONSUMER_ONLY},
            "bootstrap.servers": self._bootstrap,
            **({} if transactional_id is None else {"transactional.id": transactional_id}),
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
        }
