"""Processor time by process, as the kernel counts it in /proc."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench._stand import Stand
from tests.services import PRODUCT

_TICK: Final = os.sysconf("SC_CLK_TCK")


def ours(stand: Stand) -> dict[str, int]:
    """The broker, Redis and each service. Left out are the simulated providers, and who asks."""
    services = {
        name: pid
        for name, pid in stand.services.pids.items()
        if name.split(".", maxsplit=1)[0] in PRODUCT
    }
    return {**servers(stand), **services}


def servers(stand: Stand) -> dict[str, int]:
    """The broker and Redis."""
    found = {"rabbitmq": stand.arenas.rabbit.pid, "redis": stand.arenas.redis_server.pid}
    return {name: pid for name, pid in found.items() if pid is not None}


def spent(processes: Mapping[str, int]) -> dict[str, float]:
    """Seconds that each of these, its children included, has used so far."""
    children = _children()
    return {name: sum(map(_seconds, _tree(pid, children))) for name, pid in processes.items()}


def since(before: Mapping[str, float], processes: Mapping[str, int]) -> dict[str, float]:
    """Seconds used since then, by those that ran then."""
    return {name: now - before[name] for name, now in spent(processes).items() if name in before}


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
