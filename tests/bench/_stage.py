"""One gateway, thousands of streams, and what happens behind it played by hand."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import aiohttp

from shared.bus import Bus
from shared.lookups import Lookups
from shared.reporter import Reporter
from shared.store import Store
from tests.gateway.backstage import Backstage
from tests.services import Services

Given = TypeVar("Given")
Result = TypeVar("Result")

PATIENCE: Final = 120.0


class Stage:
    """The gateway under measurement, and what happens behind it."""

    def __init__(self, services: Services, backstage: Backstage) -> None:
        self.services, self.backstage = services, backstage
        self._ceps = itertools.count(1_001_000)

    async def lookups(self, number: int) -> dict[str, str]:
        """So many lookups that have begun: where each is followed, and its flight."""
        # Each of a subject of its own: identical ones would share a flight.
        subjects = (f"{next(self._ceps):08d}" for _ in range(number))
        items = [{"identificador": cep, "tipo": "cep", "prazo": 600} for cep in subjects]
        url = f"{self.services.gateway}/api/consultas/lote"
        async with aiohttp.ClientSession() as http, http.post(url, json=items) as answer:
            told = await answer.json()
        paths = [each["eventos"] for each in told]
        tasks = [each["task_id"] for each in told]
        return dict(zip(paths, await batched(self.backstage.flight, tasks), strict=True))

    async def open(self) -> int:
        """How many streams the gateway says are open."""
        url = self.services.ops("gateway", "/metrics")
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            lines = (await answer.text()).splitlines()
        [line] = [each for each in lines if each.startswith("consulta_sse_streams ")]
        return int(float(line.split()[1]))

    async def until_open(self, number: int) -> None:
        """Wait until it says so many."""
        async with asyncio.timeout(PATIENCE):
            while await self.open() != number:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def staged(services: Services) -> AsyncIterator[Stage]:
    """What a running gateway needs to be told of lookups."""
    async with (
        Store(services.env["REDIS_URL"]) as store,
        Bus(services.env["AMQP_URL"], "bench") as bus,
    ):
        lookups = Lookups(store)
        yield Stage(services, Backstage(lookups, Reporter(bus, lookups)))


async def batched(do: Callable[[Given], Awaitable[Result]], items: Sequence[Given]) -> list[Result]:
    """The results, in order, a hundred at a time."""
    results: list[Result] = []
    for place in range(0, len(items), 100):
        results += await asyncio.gather(*map(do, items[place : place + 100]))
    return results


def rss_kb(pid: int) -> int:
    """The memory of a process that is in use, the kernel's part of its sockets left out."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def settled_kb(pid: int) -> int:
    """The memory of a process once it has stopped to change."""
    last = -1
    while (now := rss_kb(pid)) != last:
        last = now
        await asyncio.sleep(0.5)
    return now
