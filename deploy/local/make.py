"""What happens to `make`, when it runs us."""

import os
import signal
import threading
from pathlib import Path
from typing import Final

_SIGINT: Final = 1 << (signal.SIGINT - 1)


def follow() -> None:
    """End like the `make` that started this process; without one, do nothing.

    GNU make passes SIGTERM on to its recipe, but not a SIGINT sent to it alone (a terminal's
    Ctrl-C reaches both): it stops catching the signal and waits. Nor can it pass on its own
    SIGKILL. Either is seen from here, and counts as SIGTERM.
    """
    make = os.getppid()
    name, caught = _look(make)
    if name not in {"make", "gmake"}:
        return
    # One that a shell put in the background with & ignores SIGINT from the start.
    interruptible = caught & _SIGINT

    def runs() -> bool:
        return os.getppid() == make and _look(make)[1] & _SIGINT == interruptible

    def watch() -> None:
        pause = threading.Event()
        while runs():
            pause.wait(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _look(process: int) -> tuple[str, int]:
    """A process' name and the signals it catches, a bit each (by proc(5), so on Linux)."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return "", 0
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return fields["Name"], int(fields["SigCgt"], 16)
