"""Ask for lookups as clients do, and take the time of each."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from tests.subjects import cpfs

# Nobody is looked up twice in one run, unless he is to be a hit.
_bases = itertools.count(300_000_000, 200_000)


@dataclass(frozen=True)
class Timed:
    """The seconds that each took, and all together."""

    seconds: Sequence[float]
    took: float

    @property
    def per_s(self) -> float:
        return len(self.seconds) / self.took

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def p99_ms(self) -> float:
        return percentile(self.seconds, 99) * 1000


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of them do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def people(number: int) -> list[str]:
    """So many CPFs (200,000 at most) that nobody has asked for in this run."""
    return cpfs(number, next(_bases))


def session() -> aiohttp.ClientSession:
    """A client that opens as many connections as it needs."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def paced(
    one: Callable[[str], Awaitable[object]], items: Sequence[str], at_once: int
) -> Timed:
    """Do it with each item, with so many under way at once."""
    waiting, seconds = iter(items), list[float]()

    async def client() -> None:
        for item in waiting:
            began = time.perf_counter()
            await one(item)
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    return Timed(seconds, time.perf_counter() - began)


async def looked_up(gateway: str, items: Sequence[str], at_once: int) -> Timed:
    """Look these people up, each streamed to its end."""
    async with session() as http:
        return await paced(lambda cpf: stream(http, gateway, cpf), items, at_once)


async def stream(http: aiohttp.ClientSession, gateway: str, cpf: str) -> None:
    """One lookup, streamed to an end that has everything."""
    url = f"{gateway}/api/consulta-stream"
    async with http.post(url, json={"identificador": cpf, "tipo": "cpf", "prazo": 300}) as answer:
        body = await answer.read()
    *_, last = (line for line in body.splitlines() if line.startswith(b"data: "))
    event = msgspec.json.decode(last[6:])
    assert event["tipo"] == "completo", event
    outcomes = [stage["situacao"] for stage in event["dados"]["etapas"].values()]
    assert set(outcomes) == {"ok"}, outcomes
