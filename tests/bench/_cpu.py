"""Processor time by process, as the kernel counts it in /proc."""

import os
from pathlib import Path
from typing import Final

from tests.bench._stand import Stand
from tests.services import PRODUCT

_TICK: Final = os.sysconf("SC_CLK_TCK")


def spent(stand: Stand) -> dict[str, float]:
    """Seconds that the broker, Redis and each service have used so far.

    The simulated providers are left out, as is whoever asks.
    """
    servers = {"rabbitmq": stand.arenas.rabbit.pid, "redis": stand.arenas.redis_server.pid}
    services = {
        name: pid
        for name, pid in stand.services.pids.items()
        if name.split(".", maxsplit=1)[0] in PRODUCT
    }
    children = _children()
    return {
        name: sum(map(_seconds, _tree(pid, children)))
        for name, pid in {**servers, **services}.items()
        if pid is not None
    }


def since(stand: Stand, before: dict[str, float]) -> dict[str, float]:
    """Seconds used since then, by those that ran then."""
    return {name: now - before[name] for name, now in spent(stand).items() if name in before}


def _tree(pid: int, children: dict[int, list[int]]) -> list[int]:
    """A process and all that came of it."""
    return [pid, *(found for child in children.get(pid, ()) for found in _tree(child, children))]


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _fields(int(entry.name))):
            found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def _seconds(pid: int) -> float:
    """Its own, and what its ended children had used: user and system time (proc(5))."""
    return sum(map(int, _fields(pid)[11:15])) / _TICK


def _fields(pid: int) -> list[str]:
    """Of /proc/<pid>/stat, from the state on; none where there is no such process any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
