"""Gateways in this process: the real application on a real port; only the process is missing."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from gateway.app import build
from gateway.settings import Settings
from shared.app import SUPERVISOR, Address, listen, runner_of
from shared.keys import Keys
from shared.ops import READY
from shared.patience import close_silent
from shared.settings import load
from tests.arena import Arena

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

    async def ask(self, body: dict[str, Any] | None = None, /, **headers: str) -> dict[str, Any]:
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
            # Nobody takes what is ordered, and nobody is to wait for a limit.
            "RATE_ENDERECO": "off",
        }

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(connector=connector)
        self._http = await self._stack.enter_async_context(session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, keys: Path | None = None, /, **env: str) -> Gateway:
        """A gateway that is ready, with this file of keys and these variables."""
        settings = load(Settings, {**self._env, **env})
        app = build(settings, Keys(keys) if keys is not None else None)
        runner = runner_of(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await listen(runner, Address("127.0.0.1", 0, "GATEWAY_PORT"))
        app[SUPERVISOR].keep("patience", lambda: close_silent(runner))
        async with asyncio.timeout(PATIENCE):
            while not all([await check() for check in app[READY].values()]):
                await asyncio.sleep(0.01)
        return Gateway(self._http, app, f"http://127.0.0.1:{runner.addresses[0][1]}")


async def events_of(answer: aiohttp.ClientResponse, number: int = 1000) -> list[dict[str, Any]]:
    """The next events of a stream, to its end or to this number."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < number and (line := await answer.content.readline()):
            if line.startswith(b"data: "):
                events.append(msgspec.json.decode(line[6:]))
    return events
