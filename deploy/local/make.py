"""What happens to `make`, when it runs us."""

import os
import signal
import threading
from pathlib import Path


def follow() -> None:
    """End like the `make` that started this process; without one, do nothing.

    GNU make passes SIGTERM on to its recipe, but not a SIGINT sent to it alone (a terminal's
    Ctrl-C reaches both): it stops catching the signal and waits. Nor can it pass on its own
    SIGKILL. Either is seen from here, and counts as SIGTERM.
    """
    make = os.getppid()
    if not _waits_for_us(make):
        return

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == make and _waits_for_us(make):
            pause.wait(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _waits_for_us(parent: int) -> bool:
    """Whether the parent is a make that has not been interrupted (by proc(5), so on Linux)."""
    try:
        status = Path(f"/proc/{parent}/status").read_text()
    except OSError:
        return False
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    interrupt = 1 << (signal.SIGINT - 1)
    return fields["Name"] in {"make", "gmake"} and bool(int(fields["SigCgt"], 16) & interrupt)
