"""A server as a child process: started, stopped, killed, frozen, and never left behind."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

import msgspec

from services.runtime.clock import Clock, Deadline
from services.runtime.errors import Fatal

_POLL_SECONDS = 0.02
_TAIL_LINES = 15
_TAIL_BYTES = 16_384

# Waits for the end of its input, which only our process can write to: that is when we end, in whatever way, kill -9
# included. Then it ends the server as well: politely, and after 5 s for good. (The system's own way, PR_SET_PDEATHSIG,
# is bound to the thread that started the child and needs code between fork and exec, which is unsafe with threads.)
_WATCHDOG = """
read -r _
kill -s "$2" "$1" 2>/dev/null || exit 0
for _ in 1 2 3 4 5; do sleep 1; kill -0 "$1" 2>/dev/null || exit 0; done
kill -s KILL "$1" 2>/dev/null
"""


class RunAs(msgspec.Struct, frozen=True):
    """Another user that a server runs as."""

    name: str
    uid: int
    gid: int


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is started and ended."""

    name: str
    """What messages call it."""
    command: Sequence[str]
    log: Path
    """Where its output goes, after what is there."""
    environ: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    """The signal that it ends orderly by."""
    user: RunAs | None = None


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run. Linux alone tells; elsewhere there are none."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class ServerProcess:
    """One run of a server, in a session of its own: Ctrl-C on the terminal does not reach it, and it ends with us."""

    def __init__(self, launch: Launch, clock: Clock) -> None:
        """Start it. Raises Fatal if the program cannot be run."""
        self._launch, self._clock = launch, clock
        with launch.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = self._spawn(launch.command, stdin=subprocess.DEVNULL, output=log.fileno())
        watch = ["sh", "-c", _WATCHDOG, "watchdog", str(self.pid), launch.stop_signal.name.removeprefix("SIG")]
        self._watchdog = self._spawn(watch, stdin=subprocess.PIPE, output=subprocess.DEVNULL)

    def _spawn(self, command: Sequence[str], *, stdin: int, output: int) -> subprocess.Popen[bytes]:
        user = self._launch.user
        try:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=output,
                # Another user may not be allowed to be where we are.
                cwd="/" if user else None,
                env=dict(self._launch.environ),
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        except OSError as error:
            raise Fatal(f"{self._launch.name} cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet (it may be frozen)."""
        if self._process.poll() is None:
            return True
        self._dismiss_watchdog()
        return False

    @property
    def exit_code(self) -> int | None:
        """How it ended, as ``subprocess`` tells it; None while it runs."""
        return self._process.poll()

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Ask ``ready`` again and again until it says so: True; False if the process ends first. Blocks.

        Raises Fatal, with the last lines of the log, when ``seconds`` have passed; the process still runs then.
        """
        deadline = Deadline(self._clock, seconds)
        pause = Event()
        while self.running:
            if ready():
                return True
            if deadline.passed:
                raise Fatal(self.failure(f"is not ready after {seconds:g} s"))
            pause.wait(_POLL_SECONDS)
        return False

    def require_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """As :meth:`wait_ready`, but a process that ends first raises Fatal as well."""
        if not self.wait_ready(ready, seconds):
            raise Fatal(self.ended())

    def failure(self, what: str) -> str:
        """A message that says ``what``, and the last lines of this run's log."""
        with self._launch.log.open("rb") as log:
            end = log.seek(0, 2)
            log.seek(max(self._log_start, end - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"{self._launch.name} {what}; the end of {self._launch.log}:", *lines])

    def ended(self) -> str:
        """The message for a process that ended by itself."""
        return self.failure(f"ended with exit code {self._process.returncode}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.running:
            self._process.send_signal(number)

    def stop(self, seconds: float) -> None:
        """End it orderly; by force after ``seconds``. Returns when it has ended."""
        self.signal(signal.SIGCONT)
        self.signal(self._launch.stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it at once, as a crash of the machine would (SIGKILL). Returns when it has ended."""
        self.signal(signal.SIGKILL)
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        self._dismiss_watchdog()

    def _dismiss_watchdog(self) -> None:
        # As soon as the server is reaped, since its process id may then become somebody else's.
        if self._watchdog.returncode is None:
            self._watchdog.kill()
            self._watchdog.communicate()
