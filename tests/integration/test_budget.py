"""What one lookup may cost: confirmed messages, trips to Redis, and what it leaves there.

All services in one process, so that every message and every trip passes by a counter; the broker,
Redis and the simulated providers are as real as ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

import analyzer.app
import cache_service.app
import enricher.app
import gateway.app
from analyzer.settings import Settings as AnalyzerSettings
from cache_service.settings import Settings as CacheSettings
from enricher.settings import Settings as EnricherSettings
from gateway.settings import Settings as GatewaySettings
from shared.app import CACHE, STORE, Address, listen, runner_of
from shared.bus import Bus
from shared.messages import Stage
from shared.ops import READY
from shared.settings import load
from shared.store import Store
from shared.store.connection import Pipeline
from tests.arena import Arena
from tests.services import Services
from tests.subjects import cpf

STAGES: tuple[Stage, ...] = ("telegram", "endereco", "telefone")
PATIENCE = 60
# Limits that nothing waits for: each message takes a permit all the same.
WIDE = {f"RATE_{name}": "100000/min" for name in ("TELEGRAM", "ENDERECO", "TELEFONE", "ANALYSIS")}


@dataclass
class Counted:
    """What went over the wires since it was emptied."""

    published: list[str] = field(default_factory=list)
    commands: list[tuple[Any, ...]] = field(default_factory=list)

    def clear(self) -> None:
        self.published.clear()
        self.commands.clear()

    def about(self, *marks: str) -> list[tuple[Any, ...]]:
        """Commands that name one of these: periodic ones name no lookup."""
        wanted = [mark.encode() for mark in marks]
        return [
            command
            for command in self.commands
            if any(mark in _bytes(part) for mark in wanted for part in command)
        ]


def _bytes(part: Any) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    found = Counted()
    publish, do = Bus.publish, Pipeline.do

    async def publishing(self: Bus, exchange: str, key: str, *args: Any, **more: Any) -> None:
        found.published.append(key)
        await publish(self, exchange, key, *args, **more)

    async def doing(self: Pipeline, *command: Any) -> Any:
        found.commands.append(command)
        return await do(self, *command)

    monkeypatch.setattr(Bus, "publish", publishing)
    monkeypatch.setattr(Pipeline, "do", doing)
    return found


@dataclass
class House:
    """All services, and a client of theirs."""

    http: aiohttp.ClientSession
    url: str
    app: web.Application

    @property
    def store(self) -> Store:
        return self.app[STORE]

    async def stream(self, identifier: str) -> list[dict[str, Any]]:
        """A lookup, from its first event to its last."""
        body = {"identificador": identifier, "tipo": "cpf"}
        url = f"{self.url}/api/consulta-stream"
        async with asyncio.timeout(PATIENCE), self.http.post(url, json=body) as answer:
            lines = (await answer.text()).splitlines()
        return [msgspec.json.decode(line[6:]) for line in lines if line.startswith("data: ")]


@pytest.fixture
def rates() -> dict[str, str]:
    """Limits of the queues, if they have some."""
    return {}


@pytest.fixture
async def house(
    arena: Arena,
    counted: Counted,
    rates: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[House]:
    del counted  # before anything is sent
    # The cities of an area code are an extra: of one that was not met for a while, a read.
    services = Services(arena, tmp_path, PROVIDER_BRASILAPI_URL="off", **rates)
    for name, value in services.env.items():
        monkeypatch.setenv(name, value)
    # Nothing is lost here, so nobody need look for it.
    monkeypatch.setattr("gateway.streams.LOOK_S", 3600.0)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, services.stop)
        await asyncio.to_thread(services.start, "simulator")
        env = services.env
        apps = [
            cache_service.app.build(load(CacheSettings, env)),
            enricher.app.build(load(EnricherSettings, env), STAGES),
            analyzer.app.build(load(AnalyzerSettings, env)),
            gateway.app.build(load(GatewaySettings, env), None),
        ]
        for app in apps:
            runner = runner_of(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
        await listen(runner, Address("127.0.0.1", 0, "GATEWAY_PORT"))
        async with asyncio.timeout(PATIENCE):
            while not all([await check() for app in apps for check in app[READY].values()]):
                await asyncio.sleep(0.01)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = House(http, f"http://127.0.0.1:{runner.addresses[0][1]}", apps[-1])
        # Each script goes to Redis whole the first time.
        await made.stream(cpf(700_000_001))
        yield made


@pytest.mark.parametrize(
    ("rates", "most"), [({}, 11), (WIDE, 15)], ids=["without limits", "with limits"]
)
async def test_a_miss_keeps_its_budget(house: House, counted: Counted, most: int) -> None:
    person = cpf(700_000_002)
    counted.clear()
    events = await house.stream(person)
    assert [event["tipo"] for event in events][::5] == ["iniciado", "completo"]
    task, published = events[0]["task_id"], list(counted.published)
    commands = Counted(commands=list(counted.commands))
    flight = await house.store.do("HGET", f"consulta:lookup:{task}", "flight")
    digest = house.app[CACHE].digest("cpf", person)
    # A permit is asked for before anybody knows what lookup it is for.
    permits = [f"consulta:permits:{name}" for name in ("stage.", "analysis.")]
    trips = commands.about(task, flight.decode(), digest, *permits)
    named = [_named(house.store, trip) for trip in trips]
    # News of two services may overtake each other on a busy machine: then the log is read.
    walked = [name for name in named if " view " not in name]
    assert len(published) <= 4, published
    assert len(walked) <= most, "\n".join(walked)


async def test_a_miss_leaves_little_behind(house: House) -> None:
    before = await _memory(house.store)
    events = await house.stream(cpf(700_000_003))
    after = await _memory(house.store)
    new = {key: size for key, size in after.items() if key not in before}
    cached = sum(size for key, size in new.items() if key.startswith("consulta:v"))
    assert events[-1]["tipo"] == "completo"
    assert cached > 0
    assert sum(new.values()) - cached <= 12 * 1024, new


async def _memory(store: Store) -> dict[str, int]:
    keys = await store.do("KEYS", "*")
    return {key.decode(): int(await store.do("MEMORY", "USAGE", key) or 0) for key in keys}


def _named(store: Store, command: tuple[Any, ...]) -> str:
    scripts = {digest: name for name, (digest, _) in store._scripts.items()}
    name, *rest = command
    return f"{name} {scripts.get(rest[0], rest[0])} {rest[2:3]}"
