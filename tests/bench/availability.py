"""What an open circuit costs: lookups whose first provider is down, against healthy ones.

Both are measured in turn, in the same run on the same stack, over three rounds; the simulated
providers take 300 to 360 ms. The circuit is open when the second kind is measured.
"""

import asyncio
from collections.abc import Iterable

import uvloop

from tests.bench._ask import percentile, session
from tests.bench._result import Measured, beside
from tests.bench._size import TIMES, size
from tests.bench._stand import running
from tests.e2e.availability import Outcome, measured
from tests.e2e.conftest import Api
from tests.services import Services

LOOKUPS = size(100, 12)
LATENCY_MS = 300
# Few enough that the machine waits for the providers and not the other way round.
CONCURRENCY = 6


def measure() -> Measured:
    """95 % of the one kind and of the other."""
    with running() as stand:
        return uvloop.run(_measure(stand.services))


async def _measure(services: Services) -> Measured:
    async with session() as http:
        api = Api(http, services.gateway, services.simulator)
        await api.control_all(latency_ms=LATENCY_MS, jitter_ms=LATENCY_MS // 5)
        await _some(api, 99 * 5000)
        rounds = [await _round(api, number) for number in range(TIMES)]
    # In turn, and all together, so that what else the machine does falls on both alike.
    healthy, broken = (_p95_ms(kind) for kind in zip(*rounds, strict=True))
    name = "p95 with the first provider's circuit open, against healthy"
    return Measured([beside(name, broken, healthy, "ms")])


def _p95_ms(outcomes: Iterable[Outcome]) -> float:
    durations = [duration for outcome in outcomes for duration in outcome.durations]
    return percentile(durations, 95) * 1000


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
