"""The one connection to a real Redis: shared by all, made anew after a loss, never asked twice."""

import asyncio
from typing import Any

import pytest

from shared.errors import StoreUnavailable
from shared.store import Store
from tests.arena import Arena


async def test_all_that_is_asked_goes_over_one_connection(store: Store) -> None:
    # At once, while there is no connection yet.
    names = await asyncio.gather(*(store.do("CLIENT", "ID") for _ in range(100)))
    assert len(set(names)) == 1


async def test_a_lost_connection_costs_what_was_under_way_and_nothing_else(
    store: Store, arena: Arena
) -> None:
    async with Store(arena.redis_url) as other:
        await store.do("SET", "count", 0)
        name = await store.do("CLIENT", "ID")
        # It waits in Redis for an answer that will not come.
        waiting: asyncio.Future[Any] = asyncio.ensure_future(store.do("BLPOP", "nothing", 0))
        behind: asyncio.Future[Any] = asyncio.ensure_future(store.do("INCR", "count"))
        await asyncio.sleep(0)
        while b"cmd=blpop" not in await other.do("CLIENT", "LIST", "ID", name):
            pass
        await other.do("CLIENT", "KILL", "ID", name)
        for task in (waiting, behind):
            with pytest.raises(StoreUnavailable):
                await task
        # The next one finds a new connection, on which nothing of that was asked again.
        assert await store.do("INCR", "count") == 1
        assert await store.do("CLIENT", "ID") != name


async def test_a_script_that_redis_has_forgotten_is_given_again(store: Store) -> None:
    await store.run("not_once", ["a", "b"], "task", 0)
    await store.do("SCRIPT", "FLUSH")
    await store.run("not_once", ["a", "b"], "task", 0)


async def test_a_closed_one_asks_nothing(arena: Arena) -> None:
    async with Store(arena.redis_url) as store:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(store.do("BLPOP", "nothing", 0))
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await waiting
    with pytest.raises(StoreUnavailable):
        await store.do("PING")
