"""Tries a configuration out: librdkafka judges some settings only where a client of their kind is made."""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaException, Producer

from services.runtime.bus.config import KafkaConfig
from services.runtime.errors import SettingsError

# Whether a broker answers is not asked here, so what the clients say of it while they are there is left out.
_silent = logging.getLogger("mailriver.check")
_silent.disabled = True


def check(config: KafkaConfig) -> None:
    """Make a consumer and a producer as the services do, and let them go. Asks no broker.

    Raises:
        SettingsError: with all that librdkafka refuses.

    """
    faults: list[str] = []
    for make, settings in ((Consumer, config.consumer("check")), (Producer, config.producer("check"))):
        try:
            client = make({**settings, "logger": _silent})
        except KafkaException as error:
            fault = f"KAFKA_PROPERTIES_FILE: {error.args[0].str()}"
            faults += [fault] if fault not in faults else []
        else:
            if isinstance(client, Consumer):
                client.close()
    if faults:
        raise SettingsError(faults)
