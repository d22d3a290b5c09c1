"""The settings of the embedded broker."""

from __future__ import annotations

from pathlib import Path

from services.sandbox.kafka_config import broker_properties, render

PROPERTIES = broker_properties(Path("/data/logs"), port=20000, controller_port=20001)


def test_it_listens_on_loopback_alone() -> None:
    addresses = [entry.split("://")[1] for entry in PROPERTIES["listeners"].split(",")]
    assert addresses == ["127.0.0.1:20000", "127.0.0.1:20001"]
    assert PROPERTIES["advertised.listeners"] == PROPERTIES["listeners"]


def test_topics_are_not_made_by_misspelling_them() -> None:
    assert PROPERTIES["auto.create.topics.enable"] == "false"


def test_nothing_waits_for_copies_that_one_node_cannot_have() -> None:
    copies = {name for name in PROPERTIES if name.endswith((".replication.factor", ".min.isr", "insync.replicas"))}
    assert len(copies) == 7
    assert {PROPERTIES[name] for name in copies} == {"1"}


def test_a_path_with_odd_characters_survives_the_properties_file() -> None:
    assert render({"log.dirs": "/tmp/ü\\x"}) == "log.dirs=/tmp/\\u00fc\\\\x\n"
