"""A stack of real processes with limits, an asker beside it, and the providers' own log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from shared.bus import Bus
from shared.lookups import Lookups, waiting_key
from shared.store import Store
from tests.arena import Arena
from tests.queue.asker import Asker, eventually
from tests.queue.provider_log import Providers
from tests.services import Services


@dataclass
class Stand:
    """What a test of the queue works with."""

    services: Services
    asker: Asker
    providers: Providers
    store: Store
    bus: Bus
    http: aiohttp.ClientSession

    @property
    def lookups(self) -> Lookups:
        """The state of lookups, as the services see it."""
        return Lookups(self.store)

    async def start(self, *names: str) -> None:
        """Start these services beside those that run."""
        await asyncio.to_thread(self.services.start, *names)

    async def kill(self, name: str) -> None:
        """SIGKILL a service."""
        await asyncio.to_thread(self.services.kill, name)

    async def is_unready(self, name: str) -> bool:
        """Whether a service says that it cannot work at present."""
        async with self.http.get(self.services.ops(name, "/ready")) as answer:
            return answer.status == 503

    async def until_waiting(self, number: int, queue: str = "stage.endereco") -> None:
        """Wait until so many lookups stand before a queue."""
        key = waiting_key(queue)

        async def standing() -> bool:
            return bool(await self.store.redis.zcard(key) >= number)

        await eventually(standing, pause=0.1, patience=240)


class Stands:
    """Makes a stand, and clears it away at the end of the test."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack

    async def up(self, arena: Arena, *names: str, **rates: str) -> Stand:
        """The simulator, the cache_service and these services, under these limits."""
        enter = self._stack.enter_async_context
        services = Services(arena, self._folder, **rates)
        self._stack.push_async_callback(asyncio.to_thread, services.stop)
        await asyncio.to_thread(services.start, "simulator", "cache_service", *names)
        store = await enter(Store(arena.redis_url))
        bus = await enter(Bus(arena.amqp_url, "asker"))
        http = await enter(aiohttp.ClientSession())
        asker = Asker(bus)
        await asker.listening()
        providers = Providers(http, services.simulator)
        await providers.set(*await providers.names(), latency_ms=0, jitter_ms=0)
        return Stand(services, asker, providers, store, bus, http)


@pytest.fixture
async def stands(tmp_path: Path) -> AsyncIterator[Stands]:
    """For tests that bring their own servers."""
    async with AsyncExitStack() as stack:
        yield Stands(tmp_path, stack)
