"""Hosts whose clocks are off agree on who lives, what waits and what ran: Redis' clock counts."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pytest

from shared.bus import Bus
from shared.errors import StoreUnavailable
from shared.limits import Limit, Limiter, Permit
from shared.lookups import waiting_key
from shared.messages import unix
from shared.queues import Queues
from shared.schedule import Job, Scheduler, agenda
from shared.store import Store
from shared.workers import Workers
from tests.arena import Arena

OFF: Final = [-60.0, 60.0]
QUEUE: Final = "stage.endereco"
# So seldom that none comes during a test.
YEARLY: Final = "0 0 1 1 *"


@pytest.fixture
def host_is_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    real = time.time

    def off(seconds: float) -> None:
        monkeypatch.setattr("time.time", lambda: real() + seconds)

    return off


@pytest.mark.parametrize("off", OFF)
async def test_a_process_is_alive_to_all_hosts_as_long_as_it_says_so(
    store: Store, host_is_off: Any, off: float
) -> None:
    workers = Workers(store)
    host_is_off(off)
    beating = asyncio.create_task(workers.beat("gateway"))
    try:
        async with asyncio.timeout(10):
            while not await store.redis.zcard("consulta:workers"):
                await asyncio.sleep(0.01)
        for reader in (*OFF, 0.0):
            host_is_off(reader)
            assert await workers.alive() == ["gateway"]
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    assert await workers.alive() == []


async def test_a_process_not_heard_of_for_long_is_taken_for_dead(
    store: Store, host_is_off: Any
) -> None:
    now = (await store.redis.time())[0]
    await store.redis.zadd("consulta:workers", {"gateway@host:1": now - 20})
    await store.redis.zadd("consulta:workers", {"analyzer@host:2": now - 10})
    host_is_off(-60)
    assert await Workers(store).alive() == ["analyzer"]


@pytest.mark.parametrize("off", OFF)
async def test_statistics_of_the_queues_are_the_same_on_every_host(
    bus: Bus, store: Store, host_is_off: Any, off: float
) -> None:
    limit = Limit.parse(QUEUE, "2/2s,10/min")
    limiter, now = Limiter(store), (await store.redis.time())[0]
    # One call under way, one that was over half a minute ago.
    out = Permit(limit)
    assert await limiter.acquire(out) == 0
    await store.redis.zadd(limit.key, {"over": (now - 30) * 1_000_000})
    # Two lookups are worked on, and the time of one is up; two wait, the older for ten seconds.
    await store.redis.zadd(f"consulta:active:{QUEUE}", {"late": 1000 * now - 20_000})
    await store.redis.zadd(f"consulta:active:{QUEUE}", {"fine": 1000 * now + 20_000})
    for flight, ago in (("old", 10), ("new", 1)):
        await store.redis.zadd(waiting_key(QUEUE), {flight: (now - ago) * 1_000_000})
    host_is_off(off)
    line = (await Queues(bus, store, {QUEUE: limit}).statistics())["filas"][QUEUE]
    assert (line["ativas"], line["esperando"], line["permissoes"]) == (1, 2, 1)
    assert line["idade_s"] == pytest.approx(10, abs=3)
    await limiter.settle(out)
    line = (await Queues(bus, store, {QUEUE: limit}).statistics())["filas"][QUEUE]
    assert line["permissoes"] == 2


@pytest.mark.parametrize("off", OFF)
async def test_a_host_s_own_clock_neither_hurries_nor_hinders_a_job(
    store: Store, host_is_off: Any, off: float
) -> None:
    ran: list[float] = []

    async def run() -> None:
        ran.append(await store.now())

    async def no_longer(_: float) -> None:
        raise TimeoutError  # it waits for a slot that has not come

    yearly = [Job("yearly", YEARLY, run)]
    began = await store.now()
    slot = yearly[0].after(began)
    # By the host's own clock the slot is a second ago, or comes in a second.
    host_is_off(slot - began - off / 60)
    with pytest.raises(ExceptionGroup):
        await Scheduler(store, yearly, sleep=no_longer).run()
    assert ran == []
    assert await Scheduler(store, yearly).run_now("yearly")
    [shown] = await agenda(store, [("yearly", YEARLY)])
    assert unix(shown["ultima"]) == pytest.approx(began, abs=30)
    assert unix(shown["proxima"]) == slot
    host_is_off(0)
    # What was run by hand on that host stands in the way of no slot.
    assert await Scheduler(store, yearly).run_slot("yearly", slot)


class Mute(Store):
    """Gives the time, or not, as it is told to; for the rest it is well."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.gives: list[bool] = []

    async def now(self) -> float:
        if self.gives and not self.gives.pop(0):
            raise StoreUnavailable("Redis: TimeoutError")
        return await super().now()


async def test_where_redis_gives_no_time_the_host_s_own_does_not_stand_in(
    arena: Arena, host_is_off: Any
) -> None:
    ran: list[bool] = []
    pauses: list[float] = []

    async def run() -> None:
        ran.append(True)

    async def twice(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise TimeoutError  # it waits for a slot that has not come

    yearly = Job("yearly", YEARLY, run)
    async with (store := Mute(arena.redis_url)):
        began = await store.now()
        slot = yearly.after(began)
        host_is_off(slot - began + 60)
        # It knows the slot, and waits for it.
        store.gives = [True, False]
        with pytest.raises(ExceptionGroup):
            await Scheduler(store, [yearly], sleep=twice).run()
        assert ran == []
        store.gives = [False]
        with suppress(StoreUnavailable):
            await Scheduler(store, [yearly]).run_now("yearly")
        assert ran == []
        # Nor was anything claimed by it that stands in the way of a slot.
        assert await Scheduler(store, [yearly]).run_slot("yearly", slot)
