"""A service whose step takes as long as it is told, for tests that send signals to it: ``python -m … <seconds>``.

With ``until-stop`` its step waits for the end as a good one does.
"""

from __future__ import annotations

import sys
from threading import Event

from services.runtime import lifecycle, logs
from services.runtime.lifecycle import Chassis
from services.runtime.logs import Redaction
from services.runtime.settings import HttpSettings


class SlowApp:
    """See :class:`services.runtime.lifecycle.App`."""

    def __init__(self, chassis: Chassis, step: str) -> None:
        self._chassis, self._step = chassis, step
        chassis.health.started("worker")

    def step(self) -> None:
        """Wait."""
        self._chassis.health.stepped("worker")
        if self._step == "until-stop":
            self._chassis.stop.wait(0.2)
        else:
            Event().wait(float(self._step))

    def close(self) -> None:
        """There is nothing to let go of."""


def main() -> None:
    """Run it."""
    logs.configure("slow", level="INFO", redaction=Redaction(b"key"))
    settings = HttpSettings(http_port=0)
    sys.exit(
        lifecycle.run(
            "slow", settings, lambda chassis: SlowApp(chassis, sys.argv[1]), dependencies=(), workers=("worker",)
        )
    )


if __name__ == "__main__":
    main()
