"""The river with a Confluent-compatible schema registry in place of the lock file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg
import pytest

from services.sandbox import newsletter as newsletters
from services.sandbox.folders import cache_root
from services.sandbox.mailgun import MailgunSimulator, Scenario
from services.sandbox.registry import EmbeddedRegistry, registry_app
from tests.support.river import NewRiver
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]

DOMAIN = "mg.example.com"


def test_services_wait_for_the_registry_and_then_use_its_ids(
    new_river: NewRiver, database_url: str, tmp_path: Path
) -> None:
    """Started while it is away they wait, alive; once it answers, everything flows."""
    app = registry_app(cache_root(os.environ), os.environ)
    registry = EmbeddedRegistry(tmp_path / "registry", app=app)
    registry.start()
    url = registry.url
    registry.stop()
    with (
        MailgunSimulator(Scenario(domains=(DOMAIN,), api_key="key-of-the-simulator"), clock=time.time) as simulator,
        new_river(simulator.base_url, SCHEMA_REGISTRY_URL=url) as river,
    ):
        river.start()
        newsletter = newsletters.plan(
            300, seed=5, start=time.time(), duration_seconds=3.0, late_seconds=1.0, domain=DOMAIN
        )
        with psycopg.connect(database_url) as connection:
            newsletters.insert(newsletter, connection)
        simulator.add(DOMAIN, newsletter.events)
        log = river.services["fetcher"].log
        wait_until(lambda: "schema registry" in log.read_text(), seconds=60, what="the fetcher waits for the registry")
        with registry:
            river.wait_for(newsletter, seconds=90)
        assert all(service.running for service in river.services.values())
