"""What an open circuit costs: p95 of lookups whose first provider is down, against healthy ones.

Both are measured in turn, in the same run on the same stack; providers take as long as they are
said to take (simulated). The circuit is open when the second kind is measured.
"""

import asyncio
import statistics
from collections.abc import Iterable

import aiohttp

from tests.bench._stand import running
from tests.e2e.availability import Outcome, measured
from tests.e2e.conftest import Api
from tests.services import Services

ROUNDS = 3
LOOKUPS = 100
LATENCY_MS = 300
# Few enough that the machine waits for the providers and not the other way round.
CONCURRENCY = 6


def main() -> None:
    """Run and print."""
    with running() as services:
        asyncio.run(_measure(services))


async def _measure(services: Services) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        api = Api(http, services.gateway, services.simulator)
        await api.control_all(latency_ms=LATENCY_MS, jitter_ms=LATENCY_MS // 5)
        await _some(api, 99 * 5000)
        rounds = [await _round(api, number) for number in range(ROUNDS)]
    # In turn, and all together, so that what else the machine does falls on both alike.
    healthy, broken = (_p95(kind) for kind in zip(*rounds, strict=True))
    print(f"p95 healthy {healthy * 1000:.0f} ms, first provider down {broken * 1000:.0f} ms")
    print(f"with an open circuit p95 is {broken / healthy:.2f} times that of healthy lookups")


def _p95(outcomes: Iterable[Outcome]) -> float:
    durations = [duration for outcome in outcomes for duration in outcome.durations]
    return statistics.quantiles(durations, n=20)[-1]


async def _round(api: Api, number: int) -> tuple[Outcome, Outcome]:
    """Healthy lookups, then some that find the circuit open."""
    start = number * 5000
    await _force(api, "FECHADO")
    await api.control("opencep", fault="none")
    healthy = await _some(api, start)
    await _force(api, "AUTOMATICO")
    await api.control("opencep", fault="503")
    # What finds out is not what is compared.
    await _some(api, start + 1000)
    broken = await _some(api, start + 2000)
    return healthy, broken


async def _some(api: Api, start: int) -> Outcome:
    return await measured(api, LOOKUPS, start=start, concurrency=CONCURRENCY)


async def _force(api: Api, state: str) -> None:
    await api.json("PUT", "/api/circuitos/opencep", {"estado": state})
    await asyncio.sleep(2)
