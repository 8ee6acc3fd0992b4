"""What is overdue is ended, what the delay queues lost is sent again, and nothing for nothing."""

import asyncio
from typing import Any

import msgspec
import pytest

from shared.bus import Bus
from shared.cache import Cache
from shared.consumer import Consumer, Delivery
from shared.flow.ending import Endings
from shared.flow.freshness import Freshness
from shared.flow.sweeper import Sweeper
from shared.lookups import Lookups
from shared.messages import Requested
from shared.reporter import Reporter, event
from shared.results import started
from shared.settings import Secret, load
from shared.store import Store
from shared.topology import REQUESTED, Queue

TASK = "3f2b8c9e-7a01-4c55-9d3e-5b1f0a6d4e21"
EPOCH_MS = 1_700_000_000_000


class Clock:
    """Redis' clock, as the scripts are told it."""

    def __init__(self) -> None:
        self.ms = EPOCH_MS

    def __call__(self) -> int:
        return self.ms

    def forward(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


def request(**more: Any) -> Requested:
    told = {"task_id": TASK, "origem": "tests", "identificador": "01001000", "tipo": "cep"}
    return msgspec.convert({**told, **more}, Requested)


async def taken(bus: Bus, queue: Queue) -> Any:
    """The next message of a queue."""
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_message(message: Any, _: Delivery) -> None:
        if not arrived.done():
            arrived.set_result(message)

    Consumer(bus, queue, on_message)
    return await asyncio.wait_for(arrived, 20)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lookups(store: Store, clock: Clock) -> Lookups:
    return Lookups(store, clock)


@pytest.fixture
def sweeper(bus: Bus, store: Store, lookups: Lookups) -> Sweeper:
    reporter = Reporter(bus, lookups)
    endings = Endings(lookups, Cache(store, Secret("x")), reporter, load(Freshness, {}))
    return Sweeper(bus, lookups, endings)


async def planned(lookups: Lookups, asked: Requested | None = None) -> str:
    first = started("cep", ["endereco"])
    plan = await lookups.plan(asked or request(), "digest", "subject", ["endereco"], first)
    return plan.flight


async def put_off(lookups: Lookups, delay: float) -> None:
    asked = request(atraso=delay)
    plan = await lookups.plan(asked, "digest", "s", ["endereco"], started("cep", ["endereco"]))
    assert (plan.verdict, plan.seconds) == ("early", delay)
    await lookups.schedule(asked, plan.deadline - asked.deadline)


async def test_a_lookup_whose_delay_was_lost_begins_all_the_same(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await put_off(lookups, 30)
    assert await sweeper.sweep() == 0
    clock.forward(34)
    assert await sweeper.sweep() == 1
    again = await taken(bus, REQUESTED)
    assert (again.task_id, again.identifier) == (TASK, "01001000")
    assert (await lookups.plan(again, "digest", "s", ["endereco"], event("iniciado"))).verdict == (
        "leads"
    )
    # A replica that sweeps at the same moment finds it taken care of.
    assert await sweeper.sweep() == 0


async def test_a_lookup_that_was_planned_ends_at_its_deadline_with_what_there_is(
    lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await planned(lookups)
    clock.forward(59.9)
    assert await sweeper.sweep() == 0
    clock.forward(0.2)
    assert await sweeper.sweep() == 1
    view = await lookups.view(TASK)
    assert view is not None
    assert view.status == "SUCCESS"
    types = [msgspec.json.decode(body)["tipo"] for body in view.events]
    assert types == ["iniciado", "endereco", "analysis", "completo"]
    clock.forward(3600)
    assert await sweeper.sweep() == 0


async def test_a_lookup_that_was_accepted_and_never_planned_ends_at_its_deadline_too(
    lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    """Its message was lost or buried, or nobody has been there to take it."""
    await lookups.accept(TASK, 60, origin="tests", kind="cep")
    clock.forward(61)
    assert await sweeper.sweep() == 1
    view = await lookups.view(TASK)
    assert view is not None
    [end] = map(msgspec.json.decode, view.events)
    assert (end["tipo"], end["dados"]["codigo"]) == ("error", "prazo_esgotado")
    assert view.status == "FAILURE"


async def test_a_sweeper_that_died_over_a_deadline_is_followed_by_another_in_time(
    lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await planned(lookups)
    clock.forward(60.1)
    assert await lookups.overdue("deadlines", 0) == [TASK]
    assert await sweeper.sweep() == 0
    clock.forward(3.1)
    assert await sweeper.sweep() == 1


async def test_nothing_is_sent_for_a_lookup_that_began_or_ended(
    store: Store, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await put_off(lookups, 30)
    clock.forward(30)
    flight = await planned(lookups)
    await lookups.record(flight, "end", event("completo"))
    clock.forward(3600)
    assert await sweeper.sweep() == 0
    kept = await store.hash(f"consulta:lookup:{TASK}")
    assert kept
    assert b"01001000" not in b"".join(kept.values())
