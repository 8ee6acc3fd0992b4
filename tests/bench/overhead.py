"""What a lookup takes longer than its slowest provider, while nothing else is asked for.

Lookups that miss, one at a time. In turn with them, the same three simulated providers of 20 ms are
asked directly and at once; the median of how long the slowest of the three takes is what is
subtracted from each lookup's time. Medians of three rounds.
"""

import asyncio
import statistics
import time

import aiohttp
import uvloop

from tests.bench._ask import people, percentile, session, stream
from tests.bench._result import Measured, shown, within
from tests.bench._size import TIMES, size
from tests.bench._stand import Stand, running
from tests.bench._work import STAGES, asked


def measure() -> Measured:
    """The median and the 99th percentile."""
    with running() as stand:
        rounds = uvloop.run(_rounds(stand))
    direct, median, p99 = (statistics.median(kind) for kind in zip(*rounds, strict=True))
    yardstick = f"the slowest of three, asked directly: {shown(direct, 'ms')}"
    return Measured(
        [
            within("a lookup beyond its slowest provider, median", median, 12, "ms", yardstick),
            within("a lookup beyond its slowest provider, p99", p99, 25, "ms", yardstick),
        ]
    )


async def _rounds(stand: Stand) -> list[tuple[float, float, float]]:
    async with session() as http:
        await _round(http, stand, size(30, 5))
        return [await _round(http, stand, size(300, 20)) for _ in range(TIMES)]


async def _round(
    http: aiohttp.ClientSession, stand: Stand, number: int
) -> tuple[float, float, float]:
    """Milliseconds: of the providers, and of lookups beyond that their median and p99."""
    direct, lookups = [], []
    for cpf in people(number):
        began = time.perf_counter()
        await asyncio.gather(
            *(asked(http, stand.services.simulator, stage, cpf) for stage in STAGES)
        )
        direct.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await stream(http, stand.services.gateway, cpf)
        lookups.append((time.perf_counter() - began) * 1000)
    slowest = statistics.median(direct)
    beyond = [taken - slowest for taken in lookups]
    return slowest, statistics.median(beyond), percentile(beyond, 99)
