"""The services as real processes, for tests that start, kill and add them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from deploy.local.environment import OPS_PORTS, for_demo
from deploy.local.ports import free_port
from deploy.local.servers import Urls
from enricher.settings import ops_variable
from shared.domain.lifetime import GRACE_S
from shared.messages import STAGES
from tests.arena import Arena

ROOT: Final = Path(__file__).parent.parent
COMMANDS: Final[dict[str, list[str]]] = {
    "gateway": ["gateway"],
    "cache_service": ["cache_service"],
    "enricher": ["enricher", *STAGES],
    **{stage: ["enricher", stage] for stage in STAGES},
    "analyzer": ["analyzer"],
    "simulator": ["enricher.simulator"],
}
# Every service: with one process for all stages, or with one for each, which may die by itself.
JOINED: Final = ("gateway", "cache_service", "enricher", "analyzer", "simulator")
APART: Final = ("gateway", "cache_service", *STAGES, "analyzer", "simulator")
_VARIABLES: Final = OPS_PORTS | {stage: ops_variable(stage) for stage in STAGES}
# Of the joined ones: what asks the providers, and what is no simulator.
ENRICHERS: Final = ("enricher",)
PRODUCT: Final = tuple(name for name in JOINED if name != "simulator")
# Tests of something else than limits are not to wait for them.
UNLIMITED: Final = {
    f"RATE_{queue}": "off" for queue in ("TELEGRAM", "ENDERECO", "TELEFONE", "CADASTRO", "ANALYSIS")
}


class Services:
    """A set of running services. A name may carry a replica's number: `endereco.2`."""

    def __init__(self, arena: Arena, folder: Path, **extra: str) -> None:
        local = for_demo(
            {"PATH": os.environ["PATH"], **UNLIMITED, **extra},
            Urls(arena.amqp_url, arena.redis_url),
        )
        self.env: dict[str, str] = dict(local.env)
        self.gateway = local.gateway
        self.simulator = f"http://127.0.0.1:{self.env['SIMULATOR_PORT']}"
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, **extra: str) -> None:
        """Start these services, or all of them (`JOINED`), and wait until each is ready."""
        names = names or JOINED
        for name in names:
            self._spawn(name, extra)
        for name in names:
            self._wait(name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one service, at once, and wait until it has gone."""
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait(GRACE_S)

    def stop(self, *names: str) -> None:
        """End these, or all of them, and complain of one that does not end in good order."""
        ending = {name: self._processes.pop(name) for name in names or self.pids}
        for process in ending.values():
            process.terminate()
        try:
            codes = {name: process.wait(GRACE_S) for name, process in ending.items()}
            for name, code in codes.items():
                assert code == 0, f"{name} ended with {code}:\n{self.log(name)[-2000:]}"
        finally:
            for process in ending.values():
                process.kill()
                process.wait()

    def ops(self, name: str, path: str) -> str:
        """An address on a service's ops port."""
        return f"http://127.0.0.1:{self._ports[name]}{path}"

    def log(self, name: str) -> str:
        """What a service has logged so far."""
        return (self._folder / f"{name}.log").read_text()

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of those that were started and not ended, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def _spawn(self, name: str, extra: Mapping[str, str]) -> None:
        kind = name.split(".", maxsplit=1)[0]
        env = {**self.env, **extra}
        if kind in _VARIABLES:
            if name not in self._ports:
                self._ports[name] = free_port()
            env[_VARIABLES[kind]] = str(self._ports[name])
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *COMMANDS[kind]], cwd=ROOT, env=env, stderr=log, stdout=log
            )

    def _wait(self, name: str) -> None:
        kind = name.split(".", maxsplit=1)[0]
        address = f"{self.simulator}/live" if kind == "simulator" else self.ops(name, "/ready")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self._processes[name].poll() is not None:
                raise AssertionError(f"{name} ended at start:\n{self.log(name)[-2000:]}")
            try:
                with urlopen(address, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"{name} is not ready:\n{self.log(name)[-2000:]}")
