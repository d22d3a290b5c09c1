"""`mailriver simulator`: Mailgun's Events API on this machine, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal
from services.runtime.lifecycle import Stop
from services.sandbox import mailgun
from services.sandbox import newsletter as newsletters
from services.sandbox.mailgun import MailgunSimulator, Scenario, read_scenario

_DOMAIN = "mg.example.com"
_COURSE_SECONDS = 60.0
_LATE_SECONDS = 3.0


def serve(
    *, host: str, port: int, scenario_file: Path | None, recipients: int, seed: int, say: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C. ``recipients``: of a newsletter whose events happen in the next minute. Blocks.

    Raises:
        ScenarioError: the scenario is wrong.
        Fatal: the port is taken.

    """
    scenario = read_scenario(scenario_file.read_bytes()) if scenario_file else Scenario(domains=(_DOMAIN,))
    clock, stop = SystemClock(), Stop()

    def ready(simulator: MailgunSimulator) -> None:
        domain = scenario.domains[0] if scenario.domains else _DOMAIN
        if recipients:
            newsletter = newsletters.plan(
                recipients,
                seed=seed,
                start=clock.now(),
                duration_seconds=_COURSE_SECONDS,
                late_seconds=_LATE_SECONDS,
                domain=domain,
            )
            simulator.add(domain, newsletter.events)
        say(f"MAILGUN_BASE_URL={simulator.base_url}")
        say(f"MAILGUN_API_KEY={scenario.api_key}")
        say(f"MAILGUN_DOMAINS={','.join(scenario.domains or (domain,))}")

    try:
        mailgun.serve(scenario, clock=clock.now, stop=stop.event, host=host, port=port, ready=ready)
    except OSError as error:
        raise Fatal(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from None
    finally:
        stop.restore()
