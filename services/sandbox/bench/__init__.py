"""`mailriver bench`: what the services reach on this machine, each figure beside a floor of the same run."""

from __future__ import annotations

NAMES = ("storage", "processor", "pipeline", "fetch", "latency", "memory", "growth")
"""The measurements, in the order in which they are made; each has a module of its name."""
