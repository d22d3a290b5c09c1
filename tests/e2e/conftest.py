"""What several of these tests stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.river import NewRiver, River
from tests.support.servers import KafkaServer


@pytest.fixture
def new_river(kafka: KafkaServer, database_url: str, topic_prefix: str, tmp_path: Path) -> NewRiver:
    def new(base_url: str, **settings: str) -> River:
        return River(
            bootstrap=kafka.bootstrap,
            database_url=database_url,
            prefix=topic_prefix,
            base_url=base_url,
            folder=tmp_path,
            settings=settings,
        )

    return new
