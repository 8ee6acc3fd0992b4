"""Ready answers in memory are given only for as long as the cache would give the same."""

import asyncio
import random
import time
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.servers import PrivateRedis
from shared import metrics
from shared.app import CACHE, STORE
from shared.cache import Cache
from shared.settings import Secret
from shared.store import Store
from tests.arena import Arena, Arenas
from tests.gateway.cached import PROMISED_S, Press, cep, fill, number_of
from tests.gateway.gateways import PATIENCE, Gateway, Gateways
from tests.gateway.valve import Valve

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = 50
BRIEF_S = 0.3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(lasting: Gateways) -> list[Gateway]:
    """Three replicas."""
    return [await lasting.start() for _ in range(3)]


def given_from_memory() -> float:
    value: float = metrics.near_hits._value.get()
    return value


async def test_nothing_old_is_served_once_the_lease_is_over(
    three: list[Gateway], store: Store
) -> None:
    """200 changes: forgotten, replaced by another process, expired, and all at once by version."""
    before, chance, given = given_from_memory(), random.Random(20), 0
    forgotten, renewed, expiring = cep(0), cep(1), cep(2)

    async def forget(old: int) -> None:
        await fill(store, three[0], forgotten, old)
        async with Press(three, forgotten, old) as press:
            await press.is_ready()
            subject = {"tipo": "cep", "identificador": forgotten["identificador"]}
            path = "/api/cache/invalidar"
            assert (await chance.choice(three).json("POST", path, subject))[0] == 200
            press.replaced()

    async def renew(old: int) -> None:
        await fill(store, three[0], renewed, old)
        async with Press(three, renewed, old) as press:
            await press.is_ready()
            await fill(store, three[0], renewed, old + 1)
            press.replaced()

    async def expire(old: int) -> int:
        by_key = bool(old % 2)
        until = time.time() + BRIEF_S
        await fill(store, three[0], expiring, old, 3600 if by_key else BRIEF_S)
        if by_key:
            await _expire(store, three[0], expiring)
        async with Press(three, expiring, old) as press:
            press.replaced(BRIEF_S if by_key else until - time.time())
        return press.given.total()

    async def raise_version(old: int) -> None:
        await fill(store, three[0], renewed, old)
        async with Press(three, renewed, old) as press:
            await press.is_ready()
            assert (await chance.choice(three).json("POST", "/api/cache/versao"))[0] == 200
            press.replaced()

    for turn in range(ROUNDS):
        old = 1000 * turn + turn % 2
        *_, seen = await asyncio.gather(forget(old), renew(old), expire(old))
        given += seen
        await raise_version(old + 10)
    # They had it ready, or there was nothing to be seen; one that expires may come and go.
    assert given_from_memory() - before > 3 * 2 * 3 * ROUNDS
    assert given > ROUNDS


async def test_a_gateway_whose_connection_is_cut_serves_nothing_old(
    lasting: Gateways, arena: Arena, store: Store
) -> None:
    async with Valve(arena.redis_url) as valve:
        gateway, body = await lasting.start(REDIS_URL=valve.url), cep(10)
        for turn in range(20):
            await fill(store, gateway, body, 2 * turn)
            async with Press([gateway], body, 2 * turn) as press:
                await press.is_ready()
                # What is said while nobody listens is not said again.
                await valve.cut()
                await fill(store, gateway, body, 2 * turn + 1)
                press.replaced()


async def test_a_gateway_whose_connection_falls_silent_serves_nothing_old(
    lasting: Gateways, arena: Arena, store: Store
) -> None:
    clock = asyncio.get_running_loop().time
    async with Valve(arena.redis_url) as valve:
        gateway, body = await lasting.start(REDIS_URL=valve.url), cep(11)

        async def ask() -> tuple[float, int | None]:
            began = clock()
            return began, await number_of(gateway, body)

        for turn in range(5):
            await fill(store, gateway, body, 2 * turn)
            while await number_of(gateway, body) != 2 * turn:
                await asyncio.sleep(0.01)
            before = given_from_memory()
            assert [await number_of(gateway, body) for _ in range(3)] == [2 * turn] * 3
            assert given_from_memory() > before
            valve.shut()
            await fill(store, gateway, body, 2 * turn + 1)
            returned, asked = clock(), []
            while clock() < returned + 4 * PROMISED_S:
                asked.append(asyncio.create_task(ask()))
                await asyncio.sleep(0.01)
            valve.open()
            async with asyncio.timeout(PATIENCE):
                for began, number in await asyncio.gather(*asked):
                    late = began > returned + PROMISED_S
                    assert not late or number != 2 * turn, f"{began - returned:.3f} s after"


async def test_what_a_redis_that_was_killed_had_is_not_served_without_it(
    gateways: Gateways, arenas: Arenas, tmp_path: Path
) -> None:
    with PrivateRedis(tmp_path / "redis") as redis:
        gateway, body = await gateways.start(REDIS_URL=redis.url), cep(12)
        for turn in range(3):
            async with Store(redis.url) as store:
                await fill(store, gateway, body, 2 * turn)
            async with Press([gateway], body, 2 * turn) as press:
                await press.is_ready()
                await asyncio.to_thread(redis.kill)
                press.replaced()
            assert (await gateway.json("POST", "/api/consultas", body))[0] == 503
            await asyncio.to_thread(redis.start)
            async with Store(redis.url) as store:
                await fill(store, gateway, body, 2 * turn + 1)
            async with asyncio.timeout(PATIENCE):
                while (number := await number_of(gateway, body)) != 2 * turn + 1:
                    # Nothing of before: Redis has been back since before the answer was replaced.
                    assert number is None
            before = given_from_memory()
            async with asyncio.timeout(PATIENCE):
                while given_from_memory() < before + 3:
                    assert await number_of(gateway, body) == 2 * turn + 1


async def test_a_gateway_without_room_reads_every_hit(lasting: Gateways, store: Store) -> None:
    gateway, body = await lasting.start(NEAR_CACHE_BYTES="0"), cep(13)
    await fill(store, gateway, body, 1)
    before = given_from_memory()
    assert [await number_of(gateway, body) for _ in range(5)] == [1] * 5
    assert given_from_memory() == before
    tracking = await gateway.app[STORE].do("CLIENT", "TRACKINGINFO")
    assert b"off" in tracking[b"flags"]


async def _expire(store: Store, gateway: Gateway, body: dict[str, str]) -> None:
    """Have Redis forget a subject soon, however fresh its answer is."""
    digest = gateway.app[CACHE].digest("cep", body["identificador"])
    version = await Cache(store, Secret("")).version()
    key = f"consulta:v{version}:cep:{digest}"
    assert await store.do("PEXPIRE", key, round(BRIEF_S * 1000)) == 1
