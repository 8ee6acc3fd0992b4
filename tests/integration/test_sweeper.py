"""What the delay queues lost is sent again, and nothing is sent for nothing."""

import asyncio
import time
from typing import Any

import pytest

from cache_service.sweeper import Sweeper
from shared.bus import Bus
from shared.consumer import Consumer, Delivery
from shared.lookups import Lookups
from shared.messages import DeadlineReached, Requested
from shared.reporter import event
from shared.results import started
from shared.store import Store
from shared.topology import DEADLINE, REQUESTED, Queue

TASK = "3f2b8c9e-7a01-4c55-9d3e-5b1f0a6d4e21"


def request(**more: Any) -> Requested:
    return Requested(
        task_id=TASK, origin="tests", identifier="01001000", kind="cep", deadline=60, **more
    )


async def taken(bus: Bus, queue: Queue) -> Any:
    """The next message of a queue."""
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_message(message: Any, _: Delivery) -> None:
        if not arrived.done():
            arrived.set_result(message)

    Consumer(bus, queue, on_message)
    return await asyncio.wait_for(arrived, 20)


@pytest.fixture
def lookups(store: Store) -> Lookups:
    return Lookups(store)


async def planned(lookups: Lookups) -> str:
    first = started("cep", ["endereco"])
    plan = await lookups.plan(request(), "digest", "subject", ["endereco"], time.time() + 60, first)
    return plan.flight


async def test_a_lookup_whose_delay_was_lost_begins_all_the_same(
    bus: Bus, lookups: Lookups
) -> None:
    await lookups.accept(TASK, 60, origin="tests", kind="cep")
    await lookups.schedule(request(delay=30), time.time() + 30)
    sweeper = Sweeper(bus, lookups)
    assert await sweeper.sweep(time.time()) == 0
    assert await sweeper.sweep(time.time() + 31) == 1
    again = await taken(bus, REQUESTED)
    assert (again.task_id, again.delay, again.identifier) == (TASK, 0, "01001000")
    # A replica that sweeps at the same moment finds it taken care of.
    assert await sweeper.sweep(time.time() + 31) == 0


async def test_a_deadline_that_was_lost_is_sent_again(bus: Bus, lookups: Lookups) -> None:
    await planned(lookups)
    sweeper = Sweeper(bus, lookups)
    assert await sweeper.sweep(time.time()) == 0
    assert await sweeper.sweep(time.time() + 61) == 1
    assert await taken(bus, DEADLINE) == DeadlineReached(task_id=TASK)


async def test_nothing_is_sent_for_a_lookup_that_began_or_ended(
    bus: Bus, store: Store, lookups: Lookups
) -> None:
    await lookups.accept(TASK, 60, origin="tests", kind="cep")
    await lookups.schedule(request(delay=30), time.time() + 30)
    flight = await planned(lookups)
    await lookups.record(flight, "end", event("completo"))
    assert await Sweeper(bus, lookups).sweep(time.time() + 3600) == 0
    assert await store.hash(f"consulta:lookup:{TASK}")
    assert b"01001000" not in b"".join((await store.hash(f"consulta:lookup:{TASK}")).values())
