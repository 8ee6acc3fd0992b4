"""Who may carry out an order, and what claims leave behind in Redis."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from shared.consumer import PutOff
from shared.errors import StoreUnavailable
from shared.flow.claims import Claims
from shared.lookups import CLAIMANTS, Lookups, active_key, flight_key, waiting_key
from shared.messages import Requested
from shared.reporter import event
from shared.results import started
from shared.store import Store
from tests.arena import Arena

QUEUE = "stage.endereco"


async def flight(store: Store, prazo: float = 60) -> str:
    """A flight of one stage that has so many seconds left."""
    asked = Requested(
        task_id=str(uuid4()), origin="tests", identifier="01001000", kind="cep", deadline=prazo
    )
    first = started("cep", ["endereco"])
    lookups = Lookups(store)
    plan = await lookups.plan(asked, "digest", uuid4().hex, ["endereco"], first)
    return plan.flight


async def claim(store: Store, flight: str, order: str = "order") -> str:
    return (await Lookups(store).claim(flight, "endereco", order, QUEUE)).verdict


async def at_work(store: Store) -> list[bytes]:
    found: list[bytes] = await store.do("ZRANGE", active_key(QUEUE), 0, -1)
    return found


async def test_what_ended_while_its_process_was_dead_is_no_longer_at_work(store: Store) -> None:
    dead = await flight(store)
    assert await claim(store, dead) == "go"
    # As a cancelled lookup ends: by its terminal event alone.
    await Lookups(store).record(dead, "error", event("error"))
    await store.redis.zadd(active_key(QUEUE), {dead: 10**15})
    await store.redis.zadd(waiting_key(QUEUE), {dead: 0})
    assert await claim(store, dead) == "drop"
    assert await at_work(store) == []
    assert await store.redis.zcard(waiting_key(QUEUE)) == 0


async def test_another_order_s_claim_stays(store: Store) -> None:
    under_way = await flight(store)
    assert await claim(store, under_way) == "go"
    # It stood in line behind the one that is being carried out.
    await store.redis.zadd(waiting_key(QUEUE), {under_way: 1})
    assert await claim(store, under_way, "another") == "drop"
    assert await store.redis.zcard(waiting_key(QUEUE)) == 0
    assert await at_work(store) == [under_way.encode()]


async def test_what_is_past_its_time_is_cleared_away_in_passing(store: Store) -> None:
    late = await flight(store, prazo=-1)
    await store.redis.zadd(active_key(QUEUE), {late: 1})
    fresh = await flight(store)
    assert await claim(store, fresh) == "go"
    assert await at_work(store) == [fresh.encode()]


async def silent(store: Store, claims: Claims, seconds: float) -> None:
    """As if this process had last said so long ago that it lives."""
    now, _ = await store.redis.time()
    await store.redis.zadd(CLAIMANTS, {claims._instance: (now - seconds) * 1000})


async def asked(claims: Claims, flight: str, order: str = "order") -> str:
    try:
        return (await claims.claim(flight, "endereco", order, QUEUE)).verdict
    except PutOff as later:
        return f"again in {later.seconds:g} s"


async def two(store: Store) -> tuple[Claims, Claims]:
    """Two processes that have said for long that they live."""
    lookups = Lookups(store)
    first, second = Claims(store, lookups), Claims(store, lookups)
    await first.beat()
    await second.beat()
    await store.redis.set(f"{CLAIMANTS}:since", 1)
    return first, second


async def test_an_order_that_a_living_process_has_is_nobody_else_s(store: Store) -> None:
    first, second = await two(store)
    order = await flight(store)
    assert await asked(first, order) == "go"
    assert await asked(second, order) == "again in 2 s"
    # Its own it may take up again, after an outage.
    assert await asked(first, order) == "resume"
    await silent(store, first, 4)
    assert await asked(second, order) == "again in 2 s"
    await silent(store, first, 7)
    assert await asked(second, order) == "resume"
    # And now it is this one's.
    await first.beat()
    assert await asked(first, order) == "again in 2 s"


async def test_an_order_that_died_with_its_process_and_its_queue_gives_way_to_another(
    store: Store,
) -> None:
    first, second = await two(store)
    under_way = await flight(store)
    assert await asked(first, under_way) == "go"
    assert await asked(second, under_way, "another") == "drop"
    await silent(store, first, 7)
    assert await asked(second, under_way, "another") == "resume"
    # Nor was it lost, it seems.
    assert await asked(second, under_way) == "drop"


async def test_an_order_that_was_given_up_does_so_once_it_must_be_lost(store: Store) -> None:
    first, second = await two(store)
    under_way = await flight(store)
    assert await asked(first, under_way) == "go"
    await first.give_up(under_way, "endereco", "order")
    # It is tried again, and what was found out may lie with the first.
    assert await asked(second, under_way, "another") == "drop"
    now, _ = await store.redis.time()
    await store.redis.hset(flight_key(under_way), "freed:endereco", now - 31)
    assert await asked(second, under_way, "another") == "resume"
    await second.give_up(under_way, "endereco", "another")
    assert await asked(first, under_way) == "drop"


async def test_what_a_process_had_that_ended_in_good_order_is_anybody_s_at_once(
    store: Store,
) -> None:
    first, second = await two(store)
    order = await flight(store)
    assert await asked(first, order) == "go"
    beat = asyncio.create_task(first.run())
    await asyncio.sleep(0)
    beat.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beat
    assert await asked(second, order) == "resume"


async def test_nobody_is_dead_for_having_been_silent_while_redis_was_away(store: Store) -> None:
    first, second = await two(store)
    order = await flight(store)
    assert await asked(first, order) == "go"
    for claims in (first, second):
        await silent(store, claims, 60)
    assert await asked(second, order) == "again in 2 s"
    await second.beat()
    assert await asked(second, order) == "again in 2 s"
    # Five seconds later it is.
    await store.redis.set(f"{CLAIMANTS}:since", 1)
    assert await asked(second, order) == "resume"


async def test_a_provider_that_bills_is_marked_once_a_flight(store: Store) -> None:
    first, second = await two(store)
    order = await flight(store)
    mark = await first.mark(order, "cadastro", "serpro")
    assert mark
    assert not await first.mark(order, "cadastro", "serpro")
    assert not await second.mark(order, "cadastro", "serpro")
    assert await second.mark(order, "cadastro", "another")
    # Only whoever made it takes it back.
    await second.unmark(order, "cadastro", "serpro", "another's")
    assert not await second.mark(order, "cadastro", "serpro")
    await first.unmark(order, "cadastro", "serpro", mark)
    assert await second.mark(order, "cadastro", "serpro")
    # For a flight that has gone there is nobody to ask for.
    assert not await first.mark("gone", "cadastro", "serpro")


class Deaf(Store):
    """Runs a script, and loses its answer as often as it is told to."""

    deaf_to: Counter[str]

    async def run(self, name: str, keys: list[str], *args: Any) -> Any:
        answer = await super().run(name, keys, *args)
        if self.deaf_to[name] > 0:
            self.deaf_to[name] -= 1
            raise StoreUnavailable("the test says so")
        return answer


@pytest.fixture
async def deaf(arena: Arena) -> AsyncIterator[Deaf]:
    store = Deaf(arena.redis_url)
    async with store:
        store.deaf_to = Counter()
        yield store


async def test_a_mark_whose_answer_got_lost_is_no_call_that_was_made(
    store: Store, deaf: Deaf
) -> None:
    order, claims = await flight(store), Claims(deaf, Lookups(deaf))
    deaf.deaf_to["mark"] = 2
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await claims.mark(order, "cadastro", "serpro")
    _, other = await two(store)
    assert not await other.mark(order, "cadastro", "serpro")
    assert await claims.mark(order, "cadastro", "serpro")
    # Now it was.
    assert not await claims.mark(order, "cadastro", "serpro")


async def test_nor_is_one_that_could_not_be_taken_back(store: Store, deaf: Deaf) -> None:
    order, claims = await flight(store), Claims(deaf, Lookups(deaf))
    mark = await claims.mark(order, "cadastro", "serpro")
    deaf.deaf_to["unmark"] = 1
    with pytest.raises(StoreUnavailable):
        await claims.unmark(order, "cadastro", "serpro", mark)
    await store.redis.hset(flight_key(order), "billed:cadastro:serpro", mark)
    assert await claims.mark(order, "cadastro", "serpro") == mark


async def test_a_provider_that_bills_is_not_called_for_a_lookup_that_has_ended(
    store: Store,
) -> None:
    lookups = Lookups(store)
    claims, ended = Claims(store, lookups), await flight(store)
    await lookups.record(ended, "end", event("error"))
    assert not await claims.mark(ended, "endereco", "serpro")
    assert await claims.mark(await flight(store), "endereco", "serpro")


async def test_nor_for_one_whose_time_is_up_though_nobody_has_ended_it_yet(store: Store) -> None:
    claims, late = Claims(store, Lookups(store)), await flight(store)
    seconds, _ = await store.redis.time()
    await store.redis.hset(flight_key(late), "deadline", str(seconds * 1000))
    assert not await claims.mark(late, "endereco", "serpro")
    # Whoever joins before its end has it called.
    await store.redis.hset(flight_key(late), "deadline", str((seconds + 60) * 1000))
    assert await claims.mark(late, "endereco", "serpro")
