"""Whether clients that never read slow the others down.

2,000 readers of twenty lookups get ten events each, alone and then beside 500 clients that ask for
streams and read nothing, each with more waiting for it than it can be sent. Medians of three.
"""

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import uvloop

from shared.reporter import event
from tests.bench._listeners import Tally, deaf, hang_up, listen
from tests.bench._result import Measured, Row, beside, shown
from tests.bench._size import TIMES, size
from tests.bench._stage import PATIENCE, Stage, batched, staged
from tests.bench._stand import running
from tests.services import Services

READERS: Final = size(2000, 200)
DEAF: Final = size(500, 100)
# Lookups that the readers share, as many for the others, and the rounds of events of each.
SHARED: Final = 20
ROUNDS: Final = 10


def measure() -> Measured:
    """Seconds beside them against seconds alone."""
    with running("gateway", MAX_STREAMS_PER_CLIENT="20000") as stand:
        return uvloop.run(_measure(stand.services))


async def _measure(services: Services) -> Measured:
    alone, others, dropped = [], [], []
    async with staged(services) as stage:
        # The first time is the slowest.
        await _readers_time(stage, await stage.lookups(SHARED))
        for _ in range(TIMES):
            crowd = await stage.lookups(SHARED)
            alone.append(await _readers_time(stage, crowd))
            async with _deaf(stage, crowd):
                others.append(await _readers_time(stage, crowd))
                until = time.perf_counter()
                await stage.until_open(0)
                dropped.append(time.perf_counter() - until)
    name = f"{READERS} readers beside {DEAF} that never read, against alone"
    return Measured(
        [
            beside(name, statistics.median(others), statistics.median(alone), "s"),
            Row(f"until those {DEAF} are dropped, after that", shown(max(dropped), "s")),
        ]
    )


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

    await batched(one, flights)
