"""Servers and services of a benchmark's own."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import redis

from deploy.local.process import Child
from deploy.local.servers import PrivateRabbit, PrivateRedis
from tests.arena import Arenas
from tests.bench._size import PROVIDER_MS
from tests.services import ROOT, Services


@dataclass(frozen=True)
class Stand:
    """Private servers, and services that may run on them."""

    services: Services
    arenas: Arenas
    folder: Path

    @contextmanager
    def helper(self, name: str, module: Sequence[str], **settings: str) -> Iterator[Child]:
        """A Python process beside the services, until the block ends: `python -m <module>`."""
        child = Child(name, self.folder)
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
        try:
            child.spawn([sys.executable, "-m", *module], env)
            yield child
        finally:
            child.stop()

    def latency(self, milliseconds: int, *names: str) -> None:
        """Have these simulated providers take so long, or each of them."""
        control = f"{self.services.simulator}/_control"
        body = json.dumps({"latency_ms": milliseconds, "jitter_ms": 0}).encode()
        with urlopen(control) as answer:
            known = json.load(answer)
        for name in names or known:
            with urlopen(Request(f"{control}/{name}", body, method="PUT")):
                pass

    def redis_bytes(self) -> int:
        """What Redis says that it holds."""
        with redis.Redis.from_url(self.arenas.redis_server.url) as client:
            return int(client.info("memory")["used_memory"])


@contextmanager
def running(*names: str, **settings: str) -> Iterator[Stand]:
    """These services, or all of them, on a private broker and store, until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PrivateRabbit(folder / "rabbit") as rabbit, PrivateRedis(folder / "redis") as redis_:
            arenas = Arenas(rabbit, redis_)
            stand = Stand(Services(arenas.new(), folder, **settings), arenas, folder)
            try:
                stand.services.start(*names)
                if "simulator" in stand.services.pids:
                    stand.latency(PROVIDER_MS)
                yield stand
            finally:
                stand.services.stop()
