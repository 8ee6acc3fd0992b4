"""What an open stream costs, and whether clients that never read slow the others down.

Memory is what the gateway's process grows by, against a server that does nothing but keep
aiohttp's streams open, measured in the same run. The kernel's part of a socket is not in it.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp

from deploy.local.ports import free_port
from shared.bus import Bus
from shared.lookups import Lookups
from shared.reporter import Reporter, event
from shared.store import Store
from tests.bench._listeners import Tally, deaf, hang_up, listen
from tests.bench._stand import running
from tests.gateway.backstage import Backstage
from tests.services import ROOT, Services

Given = TypeVar("Given")
Result = TypeVar("Result")

STREAMS = 5000
WARM = 500
READERS = 2000
DEAF = 500
# Lookups that the readers share, as many for the others, and the rounds of events of each.
SHARED = 20
ROUNDS = 10
TIMES = 3
GOAL_KB = 20.0
PATIENCE = 120.0


def main() -> None:
    """Run and print."""
    with running("gateway", MAX_STREAMS_PER_CLIENT="20000") as services:
        asyncio.run(_measure(services))


async def _measure(services: Services) -> None:
    async with (
        Store(services.env["REDIS_URL"]) as store,
        Bus(services.env["AMQP_URL"], "bench") as bus,
    ):
        lookups = Lookups(store)
        stage = Stage(services, Backstage(lookups, Reporter(bus, lookups)))
        bare = await _bare_memory()
        await _memory(stage, bare)
        await _deafness(stage)


class Stage:
    """The gateway under measurement, and what happens behind it."""

    def __init__(self, services: Services, backstage: Backstage) -> None:
        self.services, self.backstage = services, backstage

    async def lookups(self, number: int) -> dict[str, str]:
        """So many lookups that have begun: where each is followed, and its flight."""
        items = [{"identificador": "01001-000", "tipo": "cep", "prazo": 3600}] * number
        url = f"{self.services.gateway}/api/consultas/lote"
        async with aiohttp.ClientSession() as http, http.post(url, json=items) as answer:
            told = await answer.json()
        paths = [each["eventos"] for each in told]
        tasks = [each["task_id"] for each in told]
        return dict(zip(paths, await _batched(self.backstage.begin, tasks), strict=True))

    async def open(self) -> int:
        """How many streams the gateway says are open."""
        url = self.services.ops("gateway", "/metrics")
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            lines = (await answer.text()).splitlines()
        [line] = [each for each in lines if each.startswith("consulta_sse_streams ")]
        return int(float(line.split()[1]))

    async def until_open(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.open() != number:
                await asyncio.sleep(0.1)


async def _memory(stage: Stage, bare: float) -> None:
    flights = await stage.lookups(STREAMS)
    pid, url, paths = stage.services.pid("gateway"), stage.services.gateway, list(flights)
    tally = Tally()
    # What is allocated once, for the first streams there ever are, is no stream's cost.
    warm = await listen(url, paths[:WARM], tally)
    await tally.reaches(WARM, PATIENCE)
    hang_up(warm)
    await stage.until_open(0)
    before, tally = _rss_kb(pid), Tally()
    listeners = await listen(url, paths, tally)
    await tally.reaches(STREAMS, PATIENCE)
    await stage.until_open(STREAMS)
    each = (_rss_kb(pid) - before) / STREAMS

    began = time.perf_counter()
    await _batched(stage.backstage.end, list(flights.values()))
    await tally.reaches(2 * STREAMS, PATIENCE)
    told = time.perf_counter() - began
    complete = sum(listener.seen == 2 for listener in listeners)
    hang_up(listeners)
    print(f"{STREAMS} open streams on one gateway process")
    print(f"{'a stream of aiohttp alone':34}{bare:8.1f} KB RSS")
    print(f"{'a stream of the gateway':34}{each:8.1f} KB RSS   {each / bare:.2f} times")
    print(f"{'goal':34}{GOAL_KB:8.1f} KB RSS   {'met' if each <= GOAL_KB else 'MISSED'}")
    print(f"{complete} of {STREAMS} got every event; {STREAMS / told:.0f} events a second")
    await stage.until_open(0)


async def _deafness(stage: Stage) -> None:
    alone, beside, dropped = [], [], []
    await _readers_time(stage, await stage.lookups(SHARED))  # the first time is the slowest
    for _ in range(TIMES):
        crowd = await stage.lookups(SHARED)
        alone.append(await _readers_time(stage, crowd))
        async with _deaf(stage, crowd):
            beside.append(await _readers_time(stage, crowd))
            until = time.perf_counter()
            await stage.until_open(0)
            dropped.append(time.perf_counter() - until)
    first, second = statistics.median(alone), statistics.median(beside)
    print(f"{READERS} readers, {ROUNDS} events each, the median of {TIMES}")
    print(f"{'alone':34}{first:8.2f} s")
    print(f"{f'beside {DEAF} that never read':34}{second:8.2f} s   {second / first:.2f} times")
    print(f"the {DEAF} were dropped {max(dropped):.0f} s later at most")


@asynccontextmanager
async def _deaf(stage: Stage, crowd: dict[str, str]) -> AsyncIterator[None]:
    """Clients that never read, each with more waiting for it than it can be sent."""
    paths = [path for path in crowd for _ in range(DEAF // SHARED)]
    connections = await deaf(stage.services.gateway, paths)
    await stage.until_open(DEAF)
    try:
        await _tell(stage, list(crowd.values()), "full", "x" * 500_000)
        yield
    finally:
        for connection in connections:
            connection.close()


async def _readers_time(stage: Stage, others: dict[str, str]) -> float:
    """Seconds until all readers have had every round, of which these others are told too."""
    flights = await stage.lookups(SHARED)
    paths = [path for path in flights for _ in range(READERS // SHARED)]
    tally = Tally()
    listeners = await listen(stage.services.gateway, paths, tally)
    await tally.reaches(READERS, PATIENCE)
    began = time.perf_counter()
    for number in range(ROUNDS):
        await _tell(stage, [*flights.values(), *others.values()], f"round {number}", "x" * 500)
        await tally.reaches((number + 2) * READERS, PATIENCE)
    took = time.perf_counter() - began
    hang_up(listeners)
    return took


async def _tell(stage: Stage, flights: Sequence[str], step: str, text: str) -> None:
    async def one(flight: str) -> None:
        await stage.backstage.tell(flight, step, event("aguardando", {"texto": text}))

    await _batched(one, flights)


async def _bare_memory() -> float:
    """KB of a stream that nothing happens on, in a server that does nothing else."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench._bare", str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    warm = await listen(url, ["/"] * WARM, Tally())
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        await _settled(process.pid)
        hang_up(warm)
        before = await _settled(process.pid)
        listeners = await listen(url, ["/"] * STREAMS, Tally())
        grown = await _settled(process.pid) - before
        hang_up(listeners)
    finally:
        process.kill()
        await process.wait()
    return grown / STREAMS


async def _settled(pid: int) -> int:
    """The memory of a process once it has stopped to change."""
    last = -1
    while (now := _rss_kb(pid)) != last:
        last = now
        await asyncio.sleep(0.5)
    return now


def _rss_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def _batched(
    do: Callable[[Given], Awaitable[Result]], items: Sequence[Given]
) -> list[Result]:
    """The results, in order, a hundred at a time."""
    results: list[Result] = []
    for place in range(0, len(items), 100):
        results += await asyncio.gather(*map(do, items[place : place + 100]))
    return results
