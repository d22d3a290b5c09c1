"""What several of these tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.database_proxy import DatabaseProxy
from tests.support.fetching import Journal
from tests.support.letters import DeadLetterTopics
from tests.support.servers import KafkaServer
from tests.support.topics import create_topics
from tests.support.waiting import wait_until


@pytest.fixture
def proxy(database_url: str) -> Iterator[DatabaseProxy]:
    """In front of the test's database; up."""
    proxy = DatabaseProxy(database_url)
    proxy.up()
    yield proxy
    proxy.down()


@pytest.fixture
def journal(kafka: KafkaServer, topic_prefix: str) -> Iterator[Journal]:
    """Reads what the test's fetchers write."""
    with Journal(kafka.bootstrap, topic_prefix) as reading:
        yield reading


@pytest.fixture
def dlq(kafka: KafkaServer, topic_prefix: str) -> Iterator[DeadLetterTopics]:
    """The dead-letter topics, empty, and the console's look at them."""
    create_topics(kafka.bootstrap, topic_prefix)
    dlq = DeadLetterTopics(kafka.bootstrap, topic_prefix)
    ready = "the broker has leaders for the new topics"
    wait_until(lambda: dlq.client.get("/api/dlq").status_code == 200, seconds=30, what=ready)
    yield dlq
    dlq.close()
