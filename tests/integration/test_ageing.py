"""What waits longest goes next once more urgent lookups have overtaken it often enough."""

from uuid import uuid4

from shared.limits import Limit, Limiter
from shared.lookups import PATIENCE, Lookups, flight_key, waiting_key
from shared.messages import Requested
from shared.results import started
from shared.store import Store

QUEUE = "stage.endereco"
LIMIT = Limit.parse(QUEUE, "1/day")


async def waits(store: Store, priority: int, order: bytes = b"order") -> str:
    """A flight that stands in line."""
    lookups, limiter = Lookups(store), Limiter(store)
    asked = Requested(
        task_id=str(uuid4()), origin="tests", identifier="01001000", priority=priority
    )
    plan = await lookups.plan(
        asked, "digest", uuid4().hex, ["endereco"], started("cpf", ["endereco"])
    )
    keys = (waiting_key(QUEUE), flight_key(plan.flight))
    await limiter.expect(LIMIT, keys, plan.flight, "endereco", order)
    return plan.flight


async def served(store: Store, priority: int) -> bytes:
    """Let one more come and be served; what its claim found overdue."""
    flight = await waits(store, priority)
    claim = await Lookups(store).claim(flight, "endereco", uuid4().hex, QUEUE)
    assert claim.verdict == "go"
    return claim.overdue


async def test_a_stream_of_urgent_lookups_does_not_starve_the_rest(store: Store) -> None:
    await waits(store, 1, b"the oldest")
    found = [await served(store, 10) for _ in range(2 * PATIENCE)]
    assert [place for place, order in enumerate(found, 1) if order] == [PATIENCE, 2 * PATIENCE]
    assert found[PATIENCE - 1] == b"the oldest"


async def test_equals_overtake_nobody(store: Store) -> None:
    await waits(store, 5)
    assert not any([await served(store, 5) for _ in range(2 * PATIENCE)])


async def test_one_that_is_no_longer_in_line_holds_nobody_up(store: Store) -> None:
    gone = await waits(store, 1)
    await store.redis.delete(flight_key(gone))
    await waits(store, 1, b"the next")
    found = [await served(store, 10) for _ in range(2 * PATIENCE)]
    assert found[-1] == b"the next"
