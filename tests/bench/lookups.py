"""How fast a hit is, and how many lookups a second go through, against asking providers directly.

The yardstick is what the mission starts from: a program that calls the three providers of a CPF
one after the other, with 25 workers, measured in the same run against the same simulator.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp

from tests.bench._stand import running
from tests.services import Services
from tests.subjects import cpfs

WORKERS = 25
DIRECT = 50
MISSES = 600
HITS = 2000
BRIDGES = ("telegram", "bridge_endereco", "bridge_telefone")


def main() -> None:
    """Run and print."""
    with running() as services:
        asyncio.run(_measure(services))


async def _measure(services: Services) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        direct = await _direct(http, services.simulator, cpfs(DIRECT, 100_000_000))
        misses = await _timed(http, services.gateway, cpfs(MISSES, 200_000_000), 10_000)
        hits = await _timed(http, services.gateway, cpfs(MISSES, 200_000_000) * 4, 32)
        alone = await _timed(http, services.gateway, cpfs(HITS // 4, 200_000_000), 1)
    print(f"{'':34}{'median ms':>10}{'p99 ms':>10}{'per s':>10}")
    for label, (times, rate) in {
        f"providers directly, {WORKERS} workers": direct,
        "lookups that miss": misses,
        "lookups that hit": hits,
        "lookups that hit, one at a time": alone,
    }.items():
        p99 = statistics.quantiles(times, n=100)[98]
        median = statistics.median(times)
        print(f"{label:34}{median * 1000:10.1f}{p99 * 1000:10.1f}{rate:10.1f}")
    faster = statistics.median(direct[0]) / statistics.median(alone[0])
    print(f"a hit is {faster:.0f} times faster than asking directly")
    print(f"{misses[1] / direct[1]:.1f} times as many misses a second")
    print(f"{hits[1] / direct[1]:.0f} times as many hits a second")


async def _direct(
    http: aiohttp.ClientSession, simulator: str, people: list[str]
) -> tuple[list[float], float]:
    async def one(person: str) -> None:
        for name in BRIDGES:
            body = {"kind": "cpf", "stage": name.removeprefix("bridge_"), "value": person}
            headers = {"Authorization": "Bearer simulator"}
            url = f"{simulator}/{name}/lookup"
            async with http.post(url, json=body, headers=headers) as answer:
                assert answer.status == 200
                await answer.read()

    return await _paced(one, people, WORKERS)


async def _timed(
    http: aiohttp.ClientSession, gateway: str, people: list[str], workers: int
) -> tuple[list[float], float]:
    async def one(person: str) -> None:
        body = {"identificador": person, "tipo": "cpf", "prazo": 300}
        async with http.post(f"{gateway}/api/consulta-stream", json=body) as answer:
            text = await answer.text()
            assert "event: completo" in text, (answer.status, text[-300:])

    return await _paced(one, people, workers)


async def _paced(
    one: Callable[[str], Awaitable[None]], people: list[str], workers: int
) -> tuple[list[float], float]:
    """The seconds each took, and how many a second, with so many at once."""
    room = asyncio.Semaphore(workers)
    times: list[float] = []

    async def run(person: str) -> None:
        async with room:
            began = time.perf_counter()
            await one(person)
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(run(person) for person in people))
    return times, len(people) / (time.perf_counter() - began)
