"""A stand-in for Mailgun's Events API over HTTP, faithful also in its faults. It knows what it has shown."""

from __future__ import annotations

from services.sandbox.mailgun.events import SimulatedEvent, event_of
from services.sandbox.mailgun.scenario import Scenario, ScenarioError, read_scenario
from services.sandbox.mailgun.service import Stats, TruthRecord
from services.sandbox.mailgun.simulator import MailgunSimulator, serve

__all__ = [
    "MailgunSimulator",
    "Scenario",
    "ScenarioError",
    "SimulatedEvent",
    "Stats",
    "TruthRecord",
    "event_of",
    "read_scenario",
    "serve",
]
