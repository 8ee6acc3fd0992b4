"""Gateways in this process, and the services behind them played by hand.

A gateway here is the real application on a real port, with real RabbitMQ and Redis; only the
process is missing. What a lookup's events are, and when they come, is up to the test.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from gateway.app import build
from gateway.settings import Settings
from shared.app import Address, listen, runner_of
from shared.bus import Bus
from shared.keys import Keys
from shared.lookups import Lookups
from shared.messages import Event, Requested
from shared.ops import READY
from shared.patience import patience
from shared.reporter import Reporter, event
from shared.results import started
from shared.settings import load
from shared.store import Store
from tests.arena import Arena, Arenas

PATIENCE = 30
CEP = {"identificador": "01001-000", "tipo": "cep"}


@dataclass
class Gateway:
    """One gateway, as a client sees it."""

    http: aiohttp.ClientSession
    app: web.Application
    url: str
    # Of the key that is sent along, if any.
    headers: dict[str, str] = field(default_factory=dict)

    def using(self, key: str) -> Self:
        """The same gateway, called with this key."""
        return type(self)(self.http, self.app, self.url, {"Authorization": f"Bearer {key}"})

    def request(self, method: str, path: str, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        return self.http.request(method, f"{self.url}{path}", headers=headers, **options)

    async def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A plain call: the status, and the body read as JSON."""
        async with self.request(method, path, json=body, headers=headers) as answer:
            return answer.status, msgspec.json.decode(await answer.read() or b"null")

    async def ask(self, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """Ask for a lookup that the cache does not have."""
        status, answer = await self.json("POST", "/api/consultas", body or CEP, **headers)
        assert status == 202, answer
        found: dict[str, Any] = answer
        return found

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, to say what no client would."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return await asyncio.open_connection(host, int(port))


class Gateways:
    """Starts gateways on one bus and store, and stops them at the end."""

    def __init__(self, arena: Arena) -> None:
        self._stack = AsyncExitStack()
        self._env = {
            "AMQP_URL": arena.amqp_url,
            "REDIS_URL": arena.redis_url,
            "CACHE_SECRET": secrets.token_hex(16),
        }

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(connector=connector)
        self._http = await self._stack.enter_async_context(session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, keys: Path | None = None, **env: str) -> Gateway:
        """A gateway that is ready, with this file of keys and these variables."""
        settings = load(Settings, {**self._env, **env})
        app = build(settings, Keys(keys) if keys is not None else None)
        runner = runner_of(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await listen(runner, Address("127.0.0.1", 0, "GATEWAY_PORT"))
        await self._stack.enter_async_context(patience(runner))
        async with asyncio.timeout(PATIENCE):
            while not all([await check() for check in app[READY].values()]):
                await asyncio.sleep(0.01)
        return Gateway(self._http, app, f"http://127.0.0.1:{runner.addresses[0][1]}")


@dataclass
class Backstage:
    """The services behind the gateway, played by hand."""

    lookups: Lookups
    reporter: Reporter

    async def begin(self, task_id: str) -> str:
        """Plan a lookup of one stage and tell `iniciado`. Returns its flight."""
        request = Requested(task_id=task_id, origin="gateway", identifier="01001000", kind="cep")
        begun, deadline = started("cep", ["endereco"]), time.time() + 600
        # A subject of its own each time, so that no two lookups here share a flight.
        plan = await self.lookups.plan(request, "d", task_id, ["endereco"], deadline, begun)
        await self.reporter.catch_up(task_id, "gateway")
        return plan.flight

    async def tell(self, flight: str, step: str, told: Event) -> None:
        """The outcome of a step: written down, then published."""
        await self.reporter.report(flight, step, told)

    async def end(self, flight: str, data: Any = None) -> None:
        """The last event."""
        await self.tell(flight, "end", event("completo", data or {"etapas": {}}))

    async def whole(self, task_id: str) -> str:
        """A lookup from its first event to its last. Returns its flight."""
        flight = await self.begin(task_id)
        await self.tell(flight, "endereco", event("endereco", {"cep": "01001000"}, "ok"))
        await self.end(flight)
        return flight


@pytest.fixture(scope="module")
def arena(arenas: Arenas) -> Arena:
    """One for all tests of a file: each has lookups and keys of its own, and no cache is filled."""
    return arenas.new()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(arena: Arena) -> AsyncIterator[Bus]:
    """The bus, with its queues."""
    async with Bus(arena.amqp_url, "tests") as bus:
        await bus.declared()
        yield bus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(arena: Arena) -> AsyncIterator[Store]:
    """The store."""
    async with Store(arena.redis_url) as store:
        yield store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(arena: Arena, bus: Bus) -> AsyncIterator[Gateways]:
    """Gateways for all tests of a file."""
    del bus
    async with Gateways(arena) as gateways:
        yield gateways


@pytest_asyncio.fixture(loop_scope="module")
async def gateways(arena: Arena, bus: Bus) -> AsyncIterator[Gateways]:
    """Gateways for one test."""
    del bus
    async with Gateways(arena) as gateways:
        yield gateways


@pytest.fixture
def backstage(bus: Bus, store: Store) -> Backstage:
    """What stands behind the gateways of this test."""
    lookups = Lookups(store)
    return Backstage(lookups, Reporter(bus, lookups))


async def events_of(answer: aiohttp.ClientResponse, number: int = 1000) -> list[dict[str, Any]]:
    """The next events of a stream, to its end or to this number."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < number and (line := await answer.content.readline()):
            if line.startswith(b"data: "):
                events.append(msgspec.json.decode(line[6:]))
    return events
