"""One child process that never outlives the run that started it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

# The kernel signals a child when the *thread* that started it ends (PR_SET_PDEATHSIG), so all
# are started from one thread that lives as long as this process, whoever asks.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ServerError(Exception):
    """A private server could not be started; the message says why and what to do."""


class Child:
    """A server process with its log and pid file in a folder.

    Args:
        name: names ``<name>.log`` and ``<name>.pid`` in the folder.
        folder: exists already; also the working directory.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._pid_file = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def spawn(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it with exactly ``env``; one left by a run that was killed is ended first.

        Raises:
            ServerError: the program cannot be run.
        """
        _end_leftover(self._pid_file)
        # Ended by the kernel even where this process is killed with SIGKILL.
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "TERM", *command]
        with self.log.open("ab") as log:
            spawned = _spawner.submit(
                subprocess.Popen,
                command,
                cwd=self._folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Out of reach of the terminal's Ctrl-C: it ends after the services, not with them.
                start_new_session=True,
            )
            try:
                self._process = spawned.result()
            except OSError as error:
                raise ServerError(f"{self.name} cannot be started: {error}") from error
        self._pid_file.write_text(f"{self._process.pid} {_started(self._process.pid)}")

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll ``ready`` until it holds.

        Raises:
            ServerError: the process ended, or ``seconds`` passed; has the tail of its log.
        """
        limit = time.monotonic() + seconds
        while not ready():
            if self.pid is None:
                raise ServerError(f"{self.name} ended while starting\n{self._tail()}")
            if time.monotonic() > limit:
                raise ServerError(f"{self.name} not ready after {seconds:g} s\n{self._tail()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM, grace: float = 20) -> None:
        """End it and wait for its end; SIGKILL once ``grace`` seconds have passed."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._pid_file.unlink(missing_ok=True)

    def _tail(self, lines: int = 25) -> str:
        last = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"the last lines of {self.log}:", *(f"  {line}" for line in last)])


def _end_leftover(pid_file: Path) -> None:
    """End the process a pid file names, if it is still the one that was started then."""
    with suppress(OSError, ValueError):
        pid, started = (int(word) for word in pid_file.read_text().split())
        limit = time.monotonic() + 10
        # A pid comes round again; together with the time it started it does not.
        while started and _started(pid) == started:
            os.kill(pid, signal.SIGTERM if time.monotonic() < limit else signal.SIGKILL)
            time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def _started(pid: int) -> int:
    """When a live process started, in clock ticks since boot; 0 for none (or not on Linux)."""
    try:
        # After the parenthesised name: state is field 3, the start time field 22 (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
