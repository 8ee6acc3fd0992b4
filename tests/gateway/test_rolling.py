"""One of two gateways on one port goes, gently or not, under 300 streams: nobody misses a thing."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from shared.reporter import event
from tests.arena import Arena
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import CEP, PATIENCE
from tests.services import Services

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAMS = 300
REPLICAS = ("gateway", "gateway.2")
_BROKEN = (aiohttp.ClientError, ConnectionError)


@pytest.fixture
def services(arena: Arena, tmp_path: Path) -> Services:
    return Services(arena, tmp_path, GATEWAY_SHARE_PORT="on")


@pytest_asyncio.fixture(loop_scope="module")
async def replicas(services: Services, bus: object) -> AsyncIterator[Services]:
    """Two gateways on one port."""
    try:
        await asyncio.to_thread(services.start, *REPLICAS)
        yield services
    finally:
        await asyncio.to_thread(services.stop)


@dataclass
class Follower:
    """A client that does what an EventSource does: it comes back, after `retry`, from its last."""

    http: aiohttp.ClientSession
    url: str
    seen: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    connections: int = 0
    retries: list[int] = field(default_factory=list)
    # Whoever waits for news of any of them.
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Until the gateway says that there is nothing more, once more after the last event."""
        while True:
            try:
                last = {"Last-Event-ID": str(self.seen[-1])} if self.seen else {}
                async with self.http.get(self.url, headers=last) as answer:
                    if answer.status == 204:
                        return
                    assert answer.status == 200
                    self.connections += 1
                    await self._read(answer)
            except _BROKEN:
                pass
            await asyncio.sleep(self.retries[-1] / 1000 if self.retries else 1)

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        frame: dict[bytes, bytes] = {}
        async for line in answer.content:
            if line != b"\n":
                name, _, value = line.rstrip(b"\n").partition(b": ")
                frame[name] = value
                continue
            if b"retry" in frame:
                self.retries.append(int(frame[b"retry"]))
            if b"id" in frame:
                self.seen.append(int(frame[b"id"]))
                self.types.append(frame[b"event"].decode())
            frame = {}
            self.news.set()


async def until(news: asyncio.Event, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            news.clear()
            await news.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_every_client_gets_every_event_once_whatever_becomes_of_a_gateway(
    replicas: Services, backstage: Backstage, how: signal.Signals
) -> None:
    news = asyncio.Event()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        clients: list[Follower] = []
        flights: list[str] = []
        for _ in range(STREAMS):
            async with http.post(f"{replicas.gateway}/api/consultas", json=CEP) as answer:
                told = await answer.json()
            clients.append(Follower(http, f"{replicas.gateway}{told['eventos']}", news=news))
            flights.append(await backstage.flight(told["task_id"]))
        running = [asyncio.create_task(client.follow()) for client in clients]
        await until(news, lambda: all(client.seen for client in clients))
        shares = [await _streams(http, replicas, name) for name in REPLICAS]
        assert sum(shares) == STREAMS
        assert min(shares) > 0

        # Events go on, in the middle of it.
        victim = asyncio.create_task(asyncio.to_thread(replicas.kill, "gateway.2", how))
        for name in ("endereco", "telefone"):
            for flight in flights:
                await backstage.tell(flight, name, event(name, {}, "ok"))
        await victim
        for flight in flights:
            await backstage.end(flight)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*running)
    for client in clients:
        assert client.seen == [1, 2, 3, 4]
        assert client.types == ["iniciado", "endereco", "telefone", "completo"]
    back = sum(client.connections > 1 for client in clients)
    assert back <= shares[1]
    # Sent away, or cut off, they do not come back all at once.
    assert len({retry for client in clients for retry in client.retries}) > 100


async def _streams(http: aiohttp.ClientSession, services: Services, name: str) -> int:
    async with http.get(services.ops(name, "/metrics")) as answer:
        lines = (await answer.text()).splitlines()
    [line] = [each for each in lines if each.startswith("consulta_sse_streams ")]
    return int(float(line.split()[1]))


async def test_readiness_fails_before_anything_else_and_the_end_is_prompt(
    replicas: Services,
) -> None:
    ready = replicas.ops("gateway.2", "/ready")
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        async with http.get(ready) as answer:
            assert answer.status == 200
        # One request that is never finished holds the gateway as long as anything can.
        writers = [await _half_a_request(replicas) for _ in range(20)]
        ending = asyncio.create_task(asyncio.to_thread(replicas.kill, "gateway.2", signal.SIGTERM))
        while True:
            async with http.get(ready) as answer:
                if answer.status == 503:
                    told = await answer.json()
                    break
        assert told["checks"]["stopping"] is False
        assert told["checks"]["rabbitmq"] is True
        assert not ending.done()
        # Well within the patience here; aiohttp's own would be twice 60 seconds.
        await ending
    for writer in writers:
        writer.close()


async def _half_a_request(services: Services) -> asyncio.StreamWriter:
    port = int(services.env["GATEWAY_PORT"])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /api/consultas HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 900\r\n\r\n{"
    )
    return writer
