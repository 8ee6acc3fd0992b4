"""Run the services of a Procfile: all of them, or none.

Built from honcho's parts. Its ready-made manager forks one more Python per service, and leaves
the services behind when a signal comes before all have started or when it is itself killed.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from honcho.colour import get_colours
from honcho.environ import parse_procfile
from honcho.process import Process

from shared.domain.lifetime import GRACE_S


class ServiceDied(Exception):
    """A service ended although nobody stopped it; the message names it and says how."""

    def __init__(self, name: str, code: int) -> None:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        super().__init__(f"{name} {how}")
        self.name = name


class Stack:
    """The services, from ``with`` to the end of its block.

    Args:
        commands: a plain command (no shell operators) per service name.
        env: their whole environment.
        folder: their working directory.
        show: called with every line of output, a ``honcho.printer.Message``; one call at a time.
    """

    def __init__(
        self,
        commands: Mapping[str, str],
        env: Mapping[str, str],
        folder: Path,
        show: Callable[[Any], None],
    ) -> None:
        # The kernel passes our own end on to the services, even after a SIGKILL.
        setpriv = shutil.which("setpriv")
        prefix = f"exec {setpriv} --pdeathsig TERM" if setpriv else "exec"
        self._processes = [
            Process(f"{prefix} {command}", name, colour, env=dict(env), cwd=folder)
            for (name, command), colour in zip(commands.items(), get_colours(), strict=False)
        ]
        self._show = show
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._pids: dict[str, int] = {}
        self._stopping = False
        self._ended = threading.Event()
        self._died: ServiceDied | None = None

    def __enter__(self) -> Self:
        try:
            for process in self._processes:
                # A daemon, so that an interpreter in a hurry to end is not held up; the thread
                # that starts a process has to live as long, or the kernel ends the process.
                thread = threading.Thread(target=process.run, args=(self,), daemon=True)
                self._threads.append(thread)
                thread.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the services that run now, by name."""
        with self._lock:
            return dict(self._pids)

    def check(self) -> None:
        """Nothing while all run.

        Raises:
            ServiceDied: one ended.
        """
        if self._died is not None:
            raise self._died

    def wait(self) -> None:
        """Block until a service ends.

        Raises:
            ServiceDied: always; it names the first that ended.
        """
        self._ended.wait()
        self.check()

    def wait_ready(self, urls: Mapping[str, str], seconds: float) -> None:
        """Block until each of ``urls``, by service name, answers below 400.

        Raises:
            ServiceDied: a service ended.
            TimeoutError: ``seconds`` passed; names the services that were not ready.
        """
        limit = time.monotonic() + seconds
        waiting = dict(urls)
        while waiting:
            self.check()
            if time.monotonic() > limit:
                raise TimeoutError(f"not ready after {seconds:g} s: {', '.join(waiting)}")
            waiting = {name: url for name, url in waiting.items() if not _answers(url)}
            self._ended.wait(0.1 if waiting else 0)

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those that have not drained what they had in hand in time."""
        with self._lock:
            self._stopping = True
        limit = time.monotonic() + GRACE_S
        told: set[tuple[int, signal.Signals]] = set()
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            how = signal.SIGTERM if time.monotonic() < limit else signal.SIGKILL
            # Asked again in every round: one that was just being started has its pid only now.
            for pid in set(self.pids.values()):
                if (pid, how) not in told:
                    told.add((pid, how))
                    with suppress(ProcessLookupError):
                        os.killpg(pid, how)
            alive[0].join(0.05)

    def put(self, message: Any) -> None:
        """Take an event from honcho: a service started, wrote a line, or ended."""
        with self._lock:
            if message.type == "start":
                self._pids[message.name] = message.data["pid"]
            elif message.type == "stop":
                self._pids.pop(message.name, None)
                if not self._stopping and self._died is None:
                    self._died = ServiceDied(message.name, message.data["returncode"])
                    self._ended.set()
            else:
                # A reader that went away (`make run | head`) must not stall the service.
                with suppress(OSError, ValueError):
                    self._show(message)


def procfile(path: Path) -> dict[str, str]:
    """The commands of a Procfile by service name."""
    return dict(parse_procfile(path.read_text()).processes)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):  # noqa: S310 - our own loopback addresses
            return True
    except (HTTPError, URLError, OSError):
        return False
