"""A service whose background task fails says so, and has it back without being restarted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

import analyzer.app
import cache_service.app
import enricher.app
import gateway.app
from analyzer.settings import Settings as AnalyzerSettings
from cache_service.settings import Settings as CacheSettings
from enricher.settings import Settings as EnricherSettings
from gateway.settings import Settings as GatewaySettings
from shared.app import STORE, SUPERVISOR, base, runner_of
from shared.keys import Keys
from shared.ops import ops_application
from shared.service.settings import Service
from shared.service.supervision import Supervisor
from shared.settings import load
from shared.store import Store
from tests.arena import Arena
from tests.gateway.keyring import Keyring


class Gate:
    """Instead of a pause: passes when the test says so."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def sleep(self, _: float) -> None:
        await self.opened.wait()


async def test_a_ticker_that_fails_once_comes_back_and_ready_says_no_in_between(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, fault, ticks = Gate(), asyncio.Event(), 0
    monkeypatch.setattr("shared.app.Supervisor", lambda: Supervisor(sleep=gate.sleep))

    async def ticker() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 1:
            await fault.wait()
            raise ValueError("a fault of ours")
        await asyncio.Event().wait()

    async def parts(app: web.Application) -> AsyncIterator[None]:
        app[SUPERVISOR].keep("example", ticker)
        yield

    service = base(load(Service, _env(arena)), "example")
    service.cleanup_ctx.append(parts)
    runner = runner_of(service)
    await runner.setup()
    ops = ops_application(service, lambda: service[SUPERVISOR].down)
    async with TestServer(ops) as server, ClientSession() as http:

        async def until(status: int) -> Any:
            async with asyncio.timeout(20):
                while True:
                    async with http.get(server.make_url("/ready")) as answer:
                        if answer.status == status:
                            return await answer.json()

        assert (await until(200))["checks"]["tasks"] is True
        fault.set()
        told = await until(503)
        # The rest goes on meanwhile.
        well = dict.fromkeys(("redis", "redis_writes", "rabbitmq"), True)
        assert told["checks"] == {**well, "tasks": False}
        assert (told["ready"], told["down"]) == (False, ["example"])
        gate.opened.set()
        told = await until(200)
        assert (told["down"], ticks) == ([], 2)
        async with http.get(server.make_url("/metrics")) as answer:
            metrics = await answer.text()
        assert 'consulta_task_up{task="example"} 1.0' in metrics
        assert 'consulta_task_restarts_total{task="example"} 1.0' in metrics
    await runner.cleanup()


async def test_nobody_asks_a_server_for_its_health_after_the_service_has_ended(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, asking = asyncio.Event(), 0

    async def trouble() -> str:
        nonlocal asking
        asking += 1
        asked.set()
        try:
            # It loses its first cancellation, as what waits in `asyncio.wait_for` may.
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()
        finally:
            asking -= 1
        return ""

    monkeypatch.setattr("shared.tasks.AGAIN_S", 0.05)
    monkeypatch.setattr("shared.service.reachable.TICK_S", 0.01)
    monkeypatch.setattr("shared.app.of_redis", lambda *_: trouble)
    left = []
    close = Store.__aexit__

    async def closing(store: Store, *error: object) -> None:
        left.append(asking)
        await close(store, *error)

    monkeypatch.setattr(Store, "__aexit__", closing)
    runner = runner_of(base(load(Service, _env(arena)), "example"))
    await runner.setup()
    await asyncio.wait_for(asked.wait(), 20)
    await runner.cleanup()
    assert left == [0]


def _gateway(arena: Arena, keyring: Keyring) -> web.Application:
    return gateway.app.build(load(GatewaySettings, _env(arena)), Keys(keyring.file))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gateway", {"heartbeat", "permits", "streams", "keys"}),
        ("cache_service", {"heartbeat", "permits", "schedule", "sweeper"}),
        ("enricher", {"heartbeat", "permits", "circuits", "reach"}),
        ("analyzer", {"heartbeat", "permits"}),
    ],
)
async def test_a_service_s_loops_are_kept_and_say_goodbye_at_its_end(
    name: str, kept: set[str], arena: Arena, store: Store, tmp_path: Any
) -> None:
    keyring = Keyring(tmp_path / "keys.json")
    keyring.make()
    env = _env(arena)
    builds: dict[str, Any] = {
        "gateway": lambda: _gateway(arena, keyring),
        "cache_service": lambda: cache_service.app.build(load(CacheSettings, env)),
        "enricher": lambda: enricher.app.build(
            load(EnricherSettings, env), ("endereco", "cadastro")
        ),
        "analyzer": lambda: analyzer.app.build(load(AnalyzerSettings, env)),
    }
    app = builds[name]()
    runner = runner_of(app)
    await runner.setup()
    try:
        running = {task.get_name() for task in asyncio.all_tasks()}
        assert kept <= running
        async with asyncio.timeout(20):
            while not (
                await store.redis.zcard("consulta:workers")
                # So that it notices if they are forgotten before it asks for the first.
                and await store.redis.hexists("consulta:permits", "born")
            ) or (name == "enricher" and not await store.redis.hlen("consulta:circuits")):
                await asyncio.sleep(0.01)
        assert app[SUPERVISOR].down == []
        assert await app[STORE].is_up()
    finally:
        await runner.cleanup()
    # The store was still there for what they do last.
    assert await store.redis.zcard("consulta:workers") == 0
    assert await store.redis.hlen("consulta:circuits") == 0
    assert not kept & {task.get_name() for task in asyncio.all_tasks()}


def _env(arena: Arena) -> dict[str, str]:
    return {"AMQP_URL": arena.amqp_url, "REDIS_URL": arena.redis_url}
