"""Who may carry out an order, and what claims leave behind in Redis."""

from uuid import uuid4

from shared.lookups import Lookups, active_key, waiting_key
from shared.messages import Requested
from shared.reporter import event
from shared.results import started
from shared.store import Store

QUEUE = "stage.endereco"


async def flight(store: Store, prazo: float = 60) -> str:
    """A flight of one stage that has so many seconds left."""
    seconds, micros = await store.redis.time()
    asked = Requested(task_id=str(uuid4()), origin="tests", identifier="01001000", kind="cep")
    deadline = seconds + micros / 1e6 + prazo
    first = started("cep", ["endereco"])
    lookups = Lookups(store)
    plan = await lookups.plan(asked, "digest", uuid4().hex, ["endereco"], deadline, first)
    return plan.flight


async def claim(store: Store, flight: str, order: str = "order") -> str:
    return (await Lookups(store).claim(flight, "endereco", order, QUEUE)).verdict


async def at_work(store: Store) -> list[bytes]:
    return list(await store.redis.zrange(active_key(QUEUE), 0, -1))


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
    assert await claim(store, under_way, "another") == "drop"
    assert await at_work(store) == [under_way.encode()]


async def test_what_is_past_its_time_is_cleared_away_in_passing(store: Store) -> None:
    late = await flight(store, prazo=-1)
    await store.redis.zadd(active_key(QUEUE), {late: 1})
    fresh = await flight(store)
    assert await claim(store, fresh) == "go"
    assert await at_work(store) == [fresh.encode()]
