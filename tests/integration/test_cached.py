"""A function whose results are remembered: in Redis, and for a moment in the process."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from shared import cached as module
from shared.cache import Cache
from shared.cached import cached
from shared.errors import StoreUnavailable, Unavailable
from shared.settings import Secret
from shared.store import Store


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Cities:
    """What is asked for, how often, and how often the cache was read for it."""

    def __init__(self, store: Store, **more: Any) -> None:
        self.cache = Cache(store, Secret("secret"))
        self.calls, self.reads = Counter[str](), Counter[str]()
        self.error: Exception | None = None
        get = self.cache.get

        async def reading(kind: str, identifier: str, field: str) -> Any:
            self.reads[identifier] += 1
            return await get(kind, identifier, field)

        self.cache.get = reading  # type: ignore[method-assign]
        self.of = cached(self.cache, "ddd", "cidades", **more)(self._fetch)

    async def _fetch(self, code: str) -> str:
        self.calls[code] += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return f"cities of {code}, {self.calls[code]}"


async def test_those_who_ask_together_share_one_call_and_the_next_the_answer(store: Store) -> None:
    cities = Cities(store)
    told = await asyncio.gather(*(cities.of("11") for _ in range(5)))
    assert {*told, await cities.of("11")} == {"cities of 11, 1"}
    assert (cities.calls["11"], cities.reads["11"]) == (1, 2)


async def test_what_is_held_is_not_read_again_until_its_time_is_over(store: Store) -> None:
    clock = Clock()
    cities = Cities(store, hold=10.0, clock=clock)
    for _ in range(3):
        assert await cities.of("11") == "cities of 11, 1"
    assert cities.reads["11"] == 1
    await cities.cache.invalidate_pattern("consulta:v*:ddd:*")
    clock.now += 9.9
    assert await cities.of("11") == "cities of 11, 1"
    clock.now += 0.1
    assert await cities.of("11") == "cities of 11, 2"
    assert (cities.calls["11"], cities.reads["11"]) == (2, 2)


async def test_no_more_is_held_than_may_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 2)
    cities = Cities(store, hold=10.0, clock=Clock())
    for code in ("11", "21", "31", "31", "21", "11"):
        await cities.of(code)
    assert cities.reads == {"11": 2, "21": 1, "31": 1}


async def test_the_last_known_value_is_better_than_none_and_is_not_held(store: Store) -> None:
    cities = Cities(store, ttl=0.0, hold=10.0, clock=Clock())
    cities.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await cities.of("11")
    cities.error = None
    await Cities(store, ttl=0.0).of("11")
    cities.error = Unavailable("away")
    assert [await cities.of("11") for _ in range(2)] == ["cities of 11, 1"] * 2
    # Asked for again, each time, whether it is back.
    assert cities.calls["11"] == 3


async def test_without_redis_the_function_is_called() -> None:
    async with Store("redis://127.0.0.1:1/0") as away:
        cities = Cities(away)
        assert await cities.of("11") == "cities of 11, 1"
        with pytest.raises(StoreUnavailable):
            await cities.cache.version()
