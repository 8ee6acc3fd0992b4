"""The whole stack as processes, once for the module, and ways to talk to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from tests.arena import Arenas
from tests.queue.provider_log import Call, calls_of
from tests.services import JOINED, Services

PATIENCE = 60


@pytest.fixture(scope="module")
def services(
    request: pytest.FixtureRequest, arenas: Arenas, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Every service, without rate limits, on providers that answer at once.

    A module that names its `SERVICES` has those.
    """
    names = getattr(request.module, "SERVICES", JOINED)
    services = Services(arenas.new(), tmp_path_factory.mktemp("logs"))
    try:
        # First, since each enricher looks only once in minutes whether its providers are there.
        services.start("simulator")
        services.start(*(name for name in names if name != "simulator"))
        yield services
    finally:
        services.stop()


@dataclass
class Api:
    """The gateway and the simulator, as a client sees them."""

    http: aiohttp.ClientSession
    gateway: str
    simulator: str

    async def stream(self, identifier: Any, kind: str = "cpf", **more: Any) -> list[dict[str, Any]]:
        """Ask for a lookup over the stream, to its end."""
        body = {"identificador": identifier, "tipo": kind, **more}
        async with self.http.post(f"{self.gateway}/api/consulta-stream", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await events_of(answer)

    async def calls(self) -> list[str]:
        """The providers called since the log was cleared."""
        async with self.http.get(f"{self.simulator}/_control/log") as answer:
            log = await answer.json()
        entries = log["calls"] if isinstance(log, dict) else log
        # The date of a registry's data is fetched when it likes, for whoever comes next.
        return [entry["provider"] for entry in entries if entry["endpoint"] != "updated"]

    async def log(self, *providers: str) -> list[Call]:
        """The calls to these providers since the log was cleared."""
        async with self.http.get(f"{self.simulator}/_control/log") as answer:
            return [call for call in calls_of(await answer.json()) if call.provider in providers]

    async def control(self, provider: str, **settings: Any) -> None:
        """Set a provider's latency or fault."""
        url = f"{self.simulator}/_control/{provider}"
        async with self.http.put(url, json=settings) as answer:
            assert answer.status == 200, await answer.text()

    async def control_all(self, **settings: Any) -> None:
        """Set them for every provider there is."""
        async with self.http.get(f"{self.simulator}/_control") as answer:
            providers = await answer.json()
        for provider in providers:
            await self.control(provider, **settings)

    async def json(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A plain call: status and body."""
        async with self.http.request(method, f"{self.gateway}{path}", json=body) as answer:
            return answer.status, msgspec.json.decode(await answer.read() or b"null")


async def events_of(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    """The events of a stream, checked on the way: ids without a gap, one end."""
    async with asyncio.timeout(PATIENCE):
        events = [
            msgspec.json.decode(line[6:])
            async for line in answer.content
            if line.startswith(b"data: ")
        ]
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
    return events


async def at_rest(services: Services) -> None:
    """Wait until each lookup has ended, or is put off till later."""
    redis = Redis.from_url(services.env["REDIS_URL"])
    async with redis, asyncio.timeout(2 * PATIENCE):
        while await redis.zdiff(["consulta:deadlines", "consulta:scheduled"]):
            await asyncio.sleep(0.02)


@pytest.fixture
async def api(services: Services) -> AsyncIterator[Api]:
    """The running stack with an empty cache, an empty call log, and quick, healthy providers."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        api = Api(http, services.gateway, services.simulator)
        async with http.delete(f"{api.simulator}/_control"):
            pass
        await api.control_all(latency_ms=5, jitter_ms=0)
        # What the test before asked for and did not wait for would be seen as calls of this one.
        await at_rest(services)
        async with http.delete(f"{api.simulator}/_control/log"):
            pass
        await api.json("POST", "/api/cache/versao", {})
        yield api


def types(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, in order."""
    return [event["tipo"] for event in events]
