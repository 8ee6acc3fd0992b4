"""What the cache says of itself is right, and costs no walk over all keys."""

import asyncio
from typing import Any, Final

import pytest
from msgspec import json

from shared.cache import KEEP, Cache, Entry
from shared.errors import StoreRefused
from shared.messages import now
from shared.settings import Secret
from shared.store import Store

CPFS: Final = ("111.444.777-35", "529.982.247-25")
CEPS: Final = ("01001-000", "20040-002", "30130-010")


@pytest.fixture
def cache(store: Store) -> Cache:
    return Cache(store, Secret("secret"))


async def fill(cache: Cache) -> None:
    for cpf in CPFS:
        for stage in ("telegram", "telefone"):
            await cache.set("cpf", cpf, stage, {"nome": "X"}, source="test")
    for cep in CEPS:
        await cache.set("cep", cep, "endereco", {"uf": "SP"}, source="test")


async def total(cache: Cache) -> int:
    return (await cache.statistics())["total_keys"]


class Walks:
    """How many times all keys were walked over since this was made."""

    def __init__(self, store: Store) -> None:
        self._redis: Any = store.redis
        self._before = 0

    async def begin(self) -> None:
        self._before = await self._calls()

    async def count(self) -> int:
        return await self._calls() - self._before

    async def _calls(self) -> int:
        stats = await self._redis.info("commandstats")
        return sum(
            int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("scan", "keys")
        )


@pytest.fixture
async def walks(store: Store) -> Walks:
    walks = Walks(store)
    await walks.begin()
    return walks


async def left_by_an_earlier_release(store: Store, cache: Cache, version: int, cep: str) -> None:
    """An entry as it was written before there was an index."""
    entry = Entry(data={"uf": "SP"}, source="test", fetched=now(), fresh_until=9e9)
    key = f"consulta:v{version}:cep:{cache.digest('cep', cep)}"
    await store.do("HSET", key, "endereco", json.encode(entry))
    await store.do("EXPIRE", key, int(KEEP))


async def test_statistics_count_subjects_and_walk_over_nothing(cache: Cache, walks: Walks) -> None:
    await fill(cache)
    await fill(cache)
    cache.count(hit=True)
    cache.count(hit=False)
    cache.count(hit=True)
    await cache.write_counts()
    found = await cache.statistics()
    assert found.pop("memory_used") > 0
    assert found == {"total_keys": 5, "hits": 2, "misses": 1}
    assert await walks.count() == 0


async def test_counts_are_written_together_each_second_and_at_the_end(
    cache: Cache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.cache.COUNTS_S", 0.02)
    told, do = [], store.do

    async def heard(*command: Any) -> Any:
        if command[0] == "HINCRBY":
            told.append(command)
        return await do(*command)

    monkeypatch.setattr(store, "do", heard)
    keeping = asyncio.create_task(cache.keep_counts())
    for number in range(100):
        cache.count(hit=number % 4 != 0)
    async with asyncio.timeout(10):
        while (await cache.statistics())["misses"] < 25:
            await asyncio.sleep(0.01)
    assert told[:2] == [
        ("HINCRBY", "consulta:cache:counters", "hits", 75),
        ("HINCRBY", "consulta:cache:counters", "misses", 25),
    ]
    # Nothing is written of nothing, and the last is not lost.
    monkeypatch.setattr("shared.cache.COUNTS_S", 60)
    await asyncio.sleep(0.05)
    told.clear()
    cache.count(hit=True)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert len(told) == 2
    found = await cache.statistics()
    assert (found["hits"], found["misses"]) == (76, 25)


async def test_counts_that_a_redis_refused_are_written_later(
    cache: Cache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> Any:
        raise StoreRefused("the test says so")

    cache.count(hit=True)
    with monkeypatch.context() as patch:
        patch.setattr(store, "do", full)
        with pytest.raises(StoreRefused):
            await cache.write_counts()
    cache.count(hit=True)
    await cache.write_counts()
    assert (await cache.statistics())["hits"] == 2


async def test_forgetting_a_subject_removes_it_in_every_version_and_walks_over_nothing(
    cache: Cache, store: Store, walks: Walks
) -> None:
    await fill(cache)
    assert await cache.raise_version() == 2
    await fill(cache)
    assert await cache.invalidate("cpf", CPFS[0].replace(".", "").replace("-", "")) == 2
    assert await cache.invalidate("cpf", CPFS[0]) == 0
    assert await walks.count() == 0
    assert await total(cache) == 4
    digest = cache.digest("cpf", CPFS[0])
    assert await store.redis.keys(f"*{digest}*") == []
    assert await cache.get("cpf", CPFS[1], "telegram") is not None


async def test_what_a_pattern_removes_is_counted_no_more(cache: Cache, walks: Walks) -> None:
    await fill(cache)
    assert await cache.invalidate_pattern("consulta:v1:cpf:*") == 2
    assert await total(cache) == 3
    assert await cache.invalidate_pattern("consulta:v*:*") == 3
    assert await total(cache) == 0
    await walks.begin()
    await fill(cache)
    exact = f"consulta:v1:cep:{cache.digest('cep', CEPS[0])}"
    assert await cache.invalidate_pattern(exact) == 1
    assert await cache.invalidate_pattern(exact) == 0
    assert (await walks.count(), await total(cache)) == (0, 4)


async def test_a_new_version_is_empty_at_once(cache: Cache) -> None:
    await fill(cache)
    await cache.raise_version()
    assert await total(cache) == 0
    await cache.set("cep", CEPS[0], "endereco", {}, source="test")
    assert await total(cache) == 1


async def test_what_expires_is_counted_no_more(
    cache: Cache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(cache)
    with monkeypatch.context() as patch:
        patch.setattr("shared.cache.KEEP", 1)
        await cache.set("cep", "40010-000", "endereco", {}, source="test")
        # Written again it lives longer, and so does its place in the index.
        await cache.set("cep", CEPS[0], "endereco", {}, source="test")
    await cache.set("cep", CEPS[0], "endereco", {}, source="test")
    short = f"consulta:v1:cep:{cache.digest('cep', '40010-000')}"
    async with asyncio.timeout(20):
        while await store.redis.exists(short):
            assert await total(cache) == 6 or not await store.redis.exists(short)
            await asyncio.sleep(0.02)
    assert await total(cache) == 5
    # The next write takes it out of the index, which else would grow for ever.
    await cache.set("cep", CEPS[1], "endereco", {}, source="test")
    assert await store.redis.zcard("consulta:cache:keys:1") == 5


async def test_an_emptied_redis_has_nothing_cached(cache: Cache, store: Store) -> None:
    await fill(cache)
    await store.redis.flushdb()
    assert await total(cache) == 0
    await fill(cache)
    assert await total(cache) == 5


async def test_cleaning_removes_all_older_versions_in_one_walk(
    cache: Cache, store: Store, walks: Walks
) -> None:
    for _ in range(6):
        await fill(cache)
        await cache.raise_version()
    await fill(cache)
    await store.do("SET", "consulta:flight:of-a-lookup", "not of the cache")
    before = await store.redis.dbsize()
    await walks.begin()
    assert await cache.clean() == 6 * 5
    # One walk over so few keys is one call.
    assert await walks.count() == 1
    # Their indexes went as well.
    assert await store.redis.dbsize() == before - 6 * 5 - 6
    assert await total(cache) == 5
    assert await cache.clean() == 0


async def test_entries_of_an_earlier_release_are_forgotten_and_cleaned_like_others(
    cache: Cache, store: Store
) -> None:
    await left_by_an_earlier_release(store, cache, 1, CEPS[0])
    await cache.raise_version()
    for cep in CEPS:
        await left_by_an_earlier_release(store, cache, 2, cep)
    assert await cache.get("cep", CEPS[2], "endereco") is not None
    assert await cache.invalidate("cep", CEPS[0]) == 2
    assert await cache.invalidate_pattern(f"consulta:v2:cep:{cache.digest('cep', CEPS[1])}*") == 1
    assert await cache.get("cep", CEPS[0], "endereco") is None


async def test_entries_of_an_earlier_release_are_counted_once_cleaning_has_seen_them(
    cache: Cache, store: Store
) -> None:
    await left_by_an_earlier_release(store, cache, 1, CEPS[0])
    await cache.raise_version()
    await left_by_an_earlier_release(store, cache, 2, CEPS[0])
    await left_by_an_earlier_release(store, cache, 2, CEPS[1])
    await cache.set("cep", CEPS[1], "endereco", {}, source="test")
    assert await cache.clean() == 1
    assert await total(cache) == 2
    assert await store.redis.pttl("consulta:cache:keys:2") > 0
    assert await cache.invalidate("cep", CEPS[0]) == 1
    assert await total(cache) == 1
