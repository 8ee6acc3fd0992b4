"""What a run was measured on."""

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.arena import RABBITMQCTL
from tests.services import ROOT


def described() -> dict[str, str]:
    """The machine, the servers and the packages that matter, by name."""
    packages = ("aiohttp", "aio-pika", "redis", "uvloop", "celery", "taskiq")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, {pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "servers": f"RabbitMQ {_said(RABBITMQCTL, 'version')}, Redis {_redis()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _redis() -> str:
    """Of `Redis server v=7.0.15 sha=…`."""
    words = [word for word in _said("redis-server", "--version").split() if word[:2] == "v="]
    return words[0][2:] if words else "?"


def _said(*command: str) -> str:
    """What a command prints; a question mark where it cannot."""
    asked: Sequence[str] = command
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return "?"
    return done.stdout.strip()
