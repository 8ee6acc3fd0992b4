"""All circuits of one process, and the second hand that keeps them in step with its replicas."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from enricher.circuit import Circuit
from enricher.policy import Policy, spread
from shared.circuits import Board
from shared.errors import StoreUnavailable

log = logging.getLogger(__name__)

# How long a replica may go on calling a provider that another has given up: seconds.
TICK: Final = 1.0
# What a probe's lease is longer than its call.
_SLACK: Final = 5.0


class Circuits:
    """One circuit per provider, whoever in this process calls it.

    Args:
        clock: monotonic seconds, for tests.
        jitter: stretches open times.
    """

    def __init__(
        self,
        board: Board,
        *,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = spread,
    ) -> None:
        self._board, self._clock, self._jitter = board, clock, jitter
        self._policy = policy or Policy()
        self._instance = uuid4().hex[:12]
        self._circuits: dict[str, Circuit] = {}

    def of(self, name: str, timeout: float) -> Circuit:
        """The circuit of that name.

        Args:
            timeout: seconds a call through it may take.

        Raises:
            ValueError: the lease of a probe would be over before the probe.
        """
        if timeout + _SLACK > self._policy.probe_lease:
            raise ValueError(
                f"{name}: a call may take {timeout:g} s, so the lease of its probe, now "
                f"{self._policy.probe_lease:g} s, has to be at least {timeout + _SLACK:g} s"
            )
        if name not in self._circuits:
            self._circuits[name] = Circuit(
                name, self._board, self._policy, clock=self._clock, jitter=self._jitter
            )
        return self._circuits[name]

    async def tick(self) -> None:
        """Tell how the circuits stand, and go by what all replicas know.

        Raises:
            StoreUnavailable: then each goes by what it knows itself.
        """
        for circuit in self._circuits.values():
            await circuit.tell()
        versions = {name: circuit.version for name, circuit in self._circuits.items()}
        reports = {name: circuit.report() for name, circuit in self._circuits.items()}
        for name, known in (await self._board.tick(self._instance, reports)).items():
            if self._circuits[name].version == versions[name]:
                self._circuits[name].adopt(known)

    async def run(self) -> None:
        """Tick until cancelled; then take this replica's reports down."""
        away = False
        try:
            while True:
                try:
                    await self.tick()
                    away = False
                except StoreUnavailable:
                    if not away:
                        log.warning("circuits are on their own while Redis is away")
                    away = True
                await asyncio.sleep(TICK)
        finally:
            try:
                await self._board.leave(self._instance, list(self._circuits))
            except StoreUnavailable:
                log.debug("reports left to expire")
