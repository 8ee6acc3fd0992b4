"""Which service processes are alive: each says so every few seconds.

consulta:workers    zset: "<service>@<host>:<pid>" by the time it was last heard of (Unix seconds
                    of Redis' clock: hosts whose own clocks are off would bury each other)
"""

import asyncio
import contextlib
import math
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from shared.errors import StoreUnavailable
from shared.store import Store

_KEY: Final = "consulta:workers"
BEAT_S: Final = 5.0
# Three beats missed, and it is taken for dead.
ALIVE_S: Final = 15.0


class Workers:
    """The roll of living processes.

    Args:
        clock: monotonic seconds, for the age of a beat.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._written, self._refused = -math.inf, "not yet"

    @property
    def trouble(self) -> str:
        """Why Redis took no beat of this process lately; empty if it did.

        One that is full, read-only or without its replicas answers whoever reads all the same.
        """
        return "" if self._clock() - self._written < 2 * BEAT_S else self._refused

    async def alive(self) -> list[str]:
        """The services heard of lately, one entry a process, without host and pid."""
        since = await self._store.now() - ALIVE_S
        found: list[Any] = await self._store.do("ZRANGEBYSCORE", _KEY, since, "+inf")
        return sorted(name.decode().partition("@")[0] for name in found)

    async def beat(self, service: str) -> None:
        """Say that this process is alive, until cancelled; then that it is not."""
        me = f"{service}@{socket.gethostname()}:{os.getpid()}"
        try:
            while True:
                try:
                    await self._say(me)
                except StoreUnavailable as error:
                    self._refused = str(error)
                    # Ready again as soon as it can be: that is what readiness hangs on.
                    await asyncio.sleep(1.0)
                else:
                    self._written = self._clock()
                    await asyncio.sleep(BEAT_S)
        finally:
            with contextlib.suppress(StoreUnavailable):
                await asyncio.shield(self._leave(me))

    async def _say(self, me: str) -> None:
        now = await self._store.now()
        await self._store.do("ZADD", _KEY, now, me)
        await self._store.do("ZREMRANGEBYSCORE", _KEY, "-inf", now - 10 * ALIVE_S)

    async def _leave(self, me: str) -> None:
        await self._store.do("ZREM", _KEY, me)
