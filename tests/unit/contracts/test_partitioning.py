"""Partitions are those of Java's clients."""

from __future__ import annotations

import pytest

from services.contracts.partitioning import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "java_hash"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_javas(key: bytes, java_hash: int) -> None:
    """The vectors of the test of Kafka's own Utils.murmur2."""
    assert murmur2(key) == java_hash & 0xFFFFFFFF


def test_partitions_are_within_the_topic() -> None:
    assert {partition_of(b"%d" % number, 6) for number in range(100)} == set(range(6))
