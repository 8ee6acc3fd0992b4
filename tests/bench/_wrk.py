"""wrk, which asks faster than a client in Python can: one thread, some connections."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCRIPT: Final = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Answered:
    """What came of it. `other` answers had a status other than 200, `failed` there were none."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    other: int
    failed: int

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds


def post(url: str, bodies: Path, connections: int, seconds: int) -> Answered:
    """POST the lines of a file in turn, for so long."""
    wrk = shutil.which("wrk")
    assert wrk is not None, "wrk is missing: install it with deploy/local/install.sh wrk"
    command = [wrk, "--threads", "1", "--connections", str(connections), "--timeout", "10s"]
    command += ["--duration", f"{seconds}s", "--script", str(_SCRIPT), url, "--", str(bodies)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("{")]
    answered = Answered(**json.loads(line))
    assert not answered.other, f"{answered} of {url}: not every answer was a hit"
    assert not answered.failed, f"{answered} of {url}: not every request was answered"
    return answered
