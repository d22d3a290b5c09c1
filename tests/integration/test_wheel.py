"""What is installed from the wheel works without the checkout: SQL, schemas and topics are in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd="/", env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_wheel_holds_all_that_a_service_reads(tmp_path: Path) -> None:
    """Built, unpacked elsewhere, and asked for its schemas, topics, statements and migrations."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("mailriver-*.whl")
    place = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place), str(wheel))
    asked = run(
        sys.executable,
        "-c",
        "import services; from services.runtime import resources;"
        "from services.storage.adapters import migrations, queries;"
        "from services.console import web; assert web.page() and web.login() and (web.STATIC / 'app.js').exists();"
        "print(services.__file__, len(resources.topic_specs()), len(resources.subject_schemas()),"
        " migrations.expected_version(), len(queries.query('apply_rows')) > 0)",
        PYTHONPATH=str(place),
    )
    assert asked.stdout.split()[0].startswith(str(place)), "the checkout was asked, not the wheel"
    assert asked.stdout.split()[1] == "10"
    assert int(asked.stdout.split()[2]) >= 12
    assert int(asked.stdout.split()[3]) >= 3
    checked = run(sys.executable, "-m", "services", "schemas", "check", PYTHONPATH=str(place))
    assert "compatible" in checked.stdout
