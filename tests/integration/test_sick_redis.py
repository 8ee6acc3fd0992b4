"""A Redis that is full, read-only or stuck is an outage: work waits for it, and none is buried."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from cache_service.app import build
from cache_service.settings import Settings
from shared.app import BUS, CACHE, LOOKUPS, STORE, SUPERVISOR, runner_of
from shared.cache import Cache
from shared.errors import StoreUnavailable
from shared.jobs import HEALTH
from shared.messages import Requested, unix
from shared.ops import ops_application
from shared.queues import Queues
from shared.reporter import event
from shared.results import analysis_entry, analysis_field, to_cache
from shared.schedule import agenda
from shared.settings import load
from shared.topology import REQUESTED
from tests.arena import Arena, Arenas
from tests.gateway.gateways import CEP, Gateway, Gateways, events_of
from tests.gateway.keyring import Keyring
from tests.sick_redis import SickRedis

pytestmark = pytest.mark.asyncio(loop_scope="module")

ILLNESSES: Final = [
    "disk_full", "memory_full", "replicas_missing", "read_only", "stopped", "busy",
]  # fmt: skip
# Those in which Redis answers whoever only reads.
READABLE: Final = ILLNESSES[:4]

KNOWN: Final = {"identificador": "01310-100", "tipo": "cep"}


@dataclass
class Stand:
    """A gateway, the cache_service, and the Redis they share."""

    redis: SickRedis
    gateway: Gateway
    # The gateway of a caller with a key.
    keyed: Gateway
    service: web.Application

    async def ready(self, app: web.Application) -> tuple[int, dict[str, bool]]:
        """What a service says of itself: the status, and its checks."""
        async with (
            TestServer(ops_application(app)) as server,
            self.gateway.http.get(server.make_url("/ready")) as answer,
        ):
            return answer.status, (await answer.json())["checks"]

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what may have to ask a Redis that is ill, or a connection it had then."""
        async with asyncio.timeout(30):
            while True:
                with suppress(StoreUnavailable):
                    if await holds():
                        return
                await asyncio.sleep(0.02)

    async def up(self) -> bool:
        """Whether everybody's connection to Redis is well."""
        apps = (self.service, self.gateway.app, self.keyed.app)
        return all([await app[STORE].is_up() for app in apps])


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SickRedis]:
    with SickRedis(tmp_path_factory.mktemp("sick")) as redis:
        yield redis


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def arena(arenas: Arenas, redis: SickRedis) -> Arena:
    return Arenas(arenas.rabbit, redis).new()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(arena: Arena, redis: SickRedis, keyring: Keyring) -> AsyncIterator[Stand]:
    with pytest.MonkeyPatch.context() as patch:
        # A stopped Redis is given up at once.
        patch.setattr("shared.store.store.TIMEOUT", 0.3)
        # Every illness meets a heartbeat, and a look at the permits.
        patch.setattr("shared.workers.BEAT_S", 0.1)
        patch.setattr("shared.limits.LOOK_S", 0.02)
        patch.setattr("shared.service.reachable.TICK_S", 0.05)
        async with Gateways(arena) as gateways:
            gateway, key = await gateways.start(), keyring.make(rate="9999/hour")
            keyed = (await gateways.start(keyring.file)).using(key)
            env = {"AMQP_URL": arena.amqp_url, "REDIS_URL": arena.redis_url}
            service = build(load(Settings, env))
            runner = runner_of(service)
            await runner.setup()
            yield Stand(redis, gateway, keyed, service)
            await runner.cleanup()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def well(stand: Stand) -> None:
    """What was asked while Redis was stopped may take a connection down since it goes on."""
    await stand.until(stand.up)


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_a_message_met_by_it_is_held_and_handled_once_redis_is_well(
    stand: Stand, illness: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = str(uuid4())
    request = Requested(task_id=task, origin="tests", identifier="01001000", kind="cep")
    caplog.set_level(logging.WARNING, "shared.consumer")

    async def planned() -> bool:
        view = await stand.service[LOOKUPS].view(task)
        return view is not None and "flight" in view.lookup

    async def met() -> bool:
        if any(record.name == "shared.consumer" for record in caplog.records):
            return True
        # A script whose first write removes something is let through by a Redis that is full.
        return illness == "memory_full" and await planned()

    with getattr(stand.redis, illness)():
        await stand.service[BUS].command(REQUESTED, request)
        await stand.until(met)
        assert stand.service[SUPERVISOR].down == []
    await stand.until(planned)
    # Others say that they wait, too, if it is their time.
    about = [
        record
        for record in caplog.records
        if record.name == "shared.consumer" or record.levelno >= logging.ERROR
    ]
    assert {record.message for record in about} <= {"waiting"}
    depths = await Queues(stand.service[BUS], stand.service[STORE], {}).depths()
    assert not any(depth for name, depth in depths.items() if name.endswith(".dead"))


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_a_job_asked_for_meanwhile_is_run_once_redis_is_well(
    stand: Stand, illness: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, cron = HEALTH
    store = stand.service[STORE]

    async def last() -> float:
        """When it began that last ended well."""
        [shown] = await agenda(store, [(name, cron)])
        return unix(shown["ultima"]) if shown["situacao"] == "ok" else 0.0

    async def ran() -> bool:
        return await last() > before

    async def next_second() -> bool:
        return int(await store.now()) > before

    async def met() -> bool:
        return any(record.name == "shared.consumer" for record in caplog.records)

    before = await last()
    await stand.until(next_second)
    caplog.set_level(logging.WARNING, "shared.consumer")
    with getattr(stand.redis, illness)():
        status, _ = await stand.gateway.json("POST", f"/api/agenda/{name}", {})
        assert status == 202
        await stand.until(met)
    await stand.until(ran)


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_the_gateway_says_503_and_when_to_come_again(stand: Stand, illness: str) -> None:
    with getattr(stand.redis, illness)():
        async with stand.gateway.request("POST", "/api/consultas", json=CEP) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    await stand.until(stand.up)


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_readiness_and_a_line_say_so(
    stand: Stand, illness: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def seen(*apps: web.Application) -> bool:
        return not any([(await stand.ready(app))[1]["redis_writes"] for app in apps])

    async def told() -> bool:
        return any(record.getMessage().startswith("REDIS_URL: ") for record in caplog.records)

    async def well() -> bool:
        return (await stand.ready(stand.service))[0] == 200

    await stand.until(well)
    caplog.set_level(logging.WARNING, "shared.service.reachable")
    with getattr(stand.redis, illness)():
        await stand.until(lambda: seen(stand.service, stand.gateway.app))
        assert (await stand.ready(stand.service))[0] == 503
        status, checks = await stand.ready(stand.gateway.app)
        # It serves what is cached as long as that can be read.
        assert (status, checks["redis"]) == ((200, True) if illness in READABLE else (503, False))
        await stand.until(told)
    await stand.until(well)


@pytest.mark.parametrize("illness", READABLE)
async def test_a_caller_whose_lookups_are_counted_is_served_what_is_cached_all_the_same(
    stand: Stand, illness: str
) -> None:
    await known(stand.keyed.app[CACHE])
    with getattr(stand.redis, illness)():
        status, answer = await stand.keyed.json("POST", "/api/consultas", KNOWN)
        assert (status, answer["cache"]) == (200, True)
        async with stand.keyed.request("POST", "/api/consulta-stream", json=KNOWN) as stream:
            assert [told["tipo"] for told in await events_of(stream)][-1] == "completo"
        for missing in (CEP, {**KNOWN, "atualizar": True}, {**KNOWN, "atraso": 60}):
            assert (await stand.keyed.json("POST", "/api/consultas", missing))[0] == 503


async def known(cache: Cache) -> None:
    """Have a whole lookup in the cache."""
    told = event("endereco", {"uf": "SP"}, "ok")
    entries = to_cache([told], {"endereco": 600}, 600)
    analysis = analysis_entry([told], event("analysis", {"score": 1}, "ok"))
    assert analysis is not None
    entries[analysis_field(["endereco"])] = analysis
    await cache.write("cep", cache.digest("cep", KNOWN["identificador"]), entries)


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_whoever_writes_hears_of_an_outage(stand: Stand, illness: str) -> None:
    store = stand.service[STORE]
    with getattr(stand.redis, illness)():
        for write in (
            # Not one that a Redis which was stuck has taken for somebody since it is well.
            store.run("job_claim", [f"job {uuid4()}"], 1, 1, 1, "me", "", 0),
            store.do("SET", "key", 1),
            stand.service[LOOKUPS].accept("task", 60),
            stand.service[CACHE].raise_version(),
        ):
            with pytest.raises(StoreUnavailable):
                await write


@pytest.mark.parametrize("illness", READABLE)
async def test_what_is_cached_is_served_although_its_count_cannot_be_kept(
    stand: Stand, illness: str
) -> None:
    cache = stand.service[CACHE]
    await cache.set("cep", "01001000", illness, {"uf": "SP"}, source="test")
    with getattr(stand.redis, illness)():
        entry = await cache.get("cep", "01001000", illness)
        cache.count(hit=True)
    assert entry is not None
    assert entry.data == {"uf": "SP"}
