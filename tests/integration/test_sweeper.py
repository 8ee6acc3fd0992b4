"""What is overdue is ended, what the delay queues lost is sent again, and nothing for nothing."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from shared.bus import Bus
from shared.consumer import Consumer, Delivery
from shared.errors import BusUnavailable, StoreUnavailable
from shared.flow.ending import Endings
from shared.flow.sweeper import BUSY, EVERY_S, Sweeper
from shared.lookups import Lookups
from shared.messages import Requested
from shared.reporter import Reporter, event
from shared.results import started
from shared.store import Store
from shared.tasks import end
from shared.topology import REQUESTED, Queue

TASK = "3f2b8c9e-7a01-4c55-9d3e-5b1f0a6d4e21"
OTHER = "3f2b8c9e-7a01-4c55-9d3e-5b1f0a6d4e22"
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
    endings = Endings(lookups, reporter)
    return Sweeper(bus, lookups, endings)


class Listener:
    """Stands in for the bus' `event`: hears the types of what is told, after these faults."""

    def __init__(
        self, bus: Bus, lookups: Lookups, patch: pytest.MonkeyPatch, *faults: Exception
    ) -> None:
        self._faults, self._settled = list(faults), lookups.settled
        self.heard: list[str] = []
        # One lookup has been told whole.
        self.settled = asyncio.Event()
        patch.setattr(bus, "event", self._event)
        patch.setattr(lookups, "settled", self._settle)

    async def _event(self, key: str, _: bytes) -> None:
        if self._faults:
            raise self._faults.pop()
        self.heard.append(key.rpartition(".")[2])

    async def _settle(self, task: str) -> None:
        await self._settled(task)
        self.settled.set()


async def swept(sweeper: Sweeper) -> int:
    """One round of it: how many lookups were ended or begun."""
    return await sweeper.conclude() + await sweeper.start()


async def told(sweeper: Sweeper, until: asyncio.Event) -> None:
    """Let it tell what it has ended."""
    telling = asyncio.create_task(sweeper.tell())
    await asyncio.wait_for(until.wait(), 20)
    await end([telling])


async def planned(lookups: Lookups, asked: Requested | None = None) -> str:
    first = started("cep", ["endereco"])
    plan = await lookups.plan(asked or request(), "digest", "subject", ["endereco"], first)
    return plan.flight


async def put_off(lookups: Lookups, delay: float) -> None:
    asked = request(atraso=delay)
    plan = await lookups.plan(asked, "digest", "s", ["endereco"], started("cep", ["endereco"]))
    assert (plan.verdict, plan.seconds) == ("early", delay)
    await lookups.schedule(asked, plan.deadline - asked.deadline)


async def test_whoever_has_much_to_send_leaves_what_is_overdue_to_the_others_for_a_second(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it tells of an end would stand behind all that."""
    await planned(lookups, request(prazo=30))
    clock.forward(30.5)
    async with AsyncExitStack() as waiting:
        for _ in range(BUSY + 1):
            await waiting.enter_async_context(bus._confirms.awaited(30))
        assert await sweeper.conclude() == 0
        clock.forward(EVERY_S)
        # Nobody did: so it does.
        assert await sweeper.conclude() == 1
    monkeypatch.setattr(sweeper, "_untold", {})
    clock.forward(30)
    assert bus.unconfirmed == 0
    assert await sweeper.conclude() == 1


async def test_a_lookup_whose_delay_was_lost_begins_all_the_same(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await put_off(lookups, 30)
    assert await swept(sweeper) == 0
    clock.forward(34)
    assert await swept(sweeper) == 1
    again = await taken(bus, REQUESTED)
    assert (again.task_id, again.identifier) == (TASK, "01001000")
    assert (await lookups.plan(again, "digest", "s", ["endereco"], event("iniciado"))).verdict == (
        "leads"
    )
    # A replica that sweeps at the same moment finds it taken care of.
    assert await swept(sweeper) == 0


async def test_a_lookup_that_was_planned_ends_at_its_deadline_with_what_there_is(
    lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await planned(lookups)
    clock.forward(59.9)
    assert await swept(sweeper) == 0
    clock.forward(0.2)
    assert await swept(sweeper) == 1
    view = await lookups.view(TASK)
    assert view is not None
    assert view.status == "SUCCESS"
    types = [msgspec.json.decode(body)["tipo"] for body in view.events]
    assert types == ["iniciado", "endereco", "analysis", "completo"]
    await lookups.settled(TASK)
    clock.forward(3600)
    assert await swept(sweeper) == 0


async def test_a_lookup_that_was_accepted_and_never_planned_ends_at_its_deadline_too(
    lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    """Its message was lost or buried, or nobody has been there to take it."""
    await lookups.accept(TASK, 60, origin="tests", kind="cep")
    clock.forward(61)
    assert await swept(sweeper) == 1
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
    assert await swept(sweeper) == 0
    clock.forward(3.1)
    assert await swept(sweeper) == 1


async def test_nothing_is_sent_for_a_lookup_that_began_or_ended(
    store: Store, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await put_off(lookups, 30)
    clock.forward(30)
    flight = await planned(lookups)
    await lookups.record(flight, "end", event("completo"))
    clock.forward(3600)
    assert await swept(sweeper) == 0
    kept = await store.hash(f"consulta:lookup:{TASK}")
    assert kept
    assert b"01001000" not in b"".join(kept.values())


async def test_without_a_broker_what_is_overdue_ends_all_the_same_and_is_told_afterwards(
    bus: Bus,
    store: Store,
    lookups: Lookups,
    sweeper: Sweeper,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stream finds the end in the log, whether or not a broker can tell it."""
    await planned(lookups)
    clock.forward(61)
    failed = asyncio.Event()

    async def away(*_: Any) -> None:
        failed.set()
        raise BusUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(bus, "event", away)
        assert await swept(sweeper) == 1
        await told(sweeper, failed)
    view = await lookups.view(TASK)
    assert view is not None
    assert view.status == "SUCCESS"
    # Whoever looks a little later tells all of it.
    listener = Listener(bus, lookups, monkeypatch)
    assert await swept(sweeper) == 0
    clock.forward(3.1)
    assert await swept(sweeper) == 1
    await told(sweeper, listener.settled)
    assert listener.heard == ["iniciado", "endereco", "analysis", "completo"]


async def test_an_end_that_meets_a_breaking_connection_is_told_by_the_next_one(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting until somebody finds it overdue again."""
    await planned(lookups)
    clock.forward(61)
    listener = Listener(bus, lookups, monkeypatch, BusUnavailable("it broke"))
    assert await swept(sweeper) == 1
    await told(sweeper, listener.settled)
    # Whatever was heard of it before, all is told again.
    assert listener.heard[-3:] == ["endereco", "analysis", "completo"]


async def test_what_is_not_told_yet_is_told_before_the_process_ends(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planned(lookups)
    await planned(lookups, request(task_id=OTHER))
    clock.forward(61)
    began = asyncio.Event()

    async def hang(*_: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("shared.flow.sweeper.TOGETHER", 1)
    monkeypatch.setattr(bus, "event", hang)
    assert await swept(sweeper) == 2
    telling = asyncio.create_task(sweeper.tell())
    await asyncio.wait_for(began.wait(), 20)
    listener = Listener(bus, lookups, monkeypatch)
    await end([telling])
    told = ["endereco", "analysis", "completo"]
    # The first one left the other's flight.
    assert listener.heard == ["iniciado", *told, *told]


async def test_a_process_ends_though_nothing_can_be_told(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planned(lookups)
    clock.forward(61)
    began = asyncio.Event()

    async def hang(*_: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    # By its own bound, and not because it is cancelled once more.
    monkeypatch.setattr("shared.tasks.AGAIN_S", 1000)
    monkeypatch.setattr("shared.flow.sweeper.LAST_S", 0.01)
    monkeypatch.setattr(bus, "event", hang)
    assert await swept(sweeper) == 1
    await asyncio.wait_for(told(sweeper, began), 20)


async def test_what_is_found_overdue_again_before_it_could_be_told_is_told_once(
    bus: Bus, lookups: Lookups, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planned(lookups)
    clock.forward(61)
    listener = Listener(bus, lookups, monkeypatch)
    assert await swept(sweeper) == 1
    for _ in range(3):
        clock.forward(16)
        assert await swept(sweeper) == 1
    await told(sweeper, listener.settled)
    assert listener.heard == ["endereco", "analysis", "completo"]


@pytest.mark.parametrize("named", [TASK, OTHER])
async def test_an_end_without_a_result_frees_the_key_of_its_own_request_only(
    lookups: Lookups, sweeper: Sweeper, clock: Clock, named: str
) -> None:
    """The first try was taken on so late that its key had gone to the repetition already."""
    await lookups.once("key", f"{named} print", 600)
    await lookups.accept(TASK, 60, origin="tests", kind="cep", once="key")
    clock.forward(61)
    assert await swept(sweeper) == 1
    left = "third print" if named == TASK else f"{OTHER} print"
    assert await lookups.once("key", "third print", 600) == left


async def test_an_outage_before_its_key_is_freed_costs_that_nothing(
    lookups: Lookups, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lookups.once("key", f"{TASK} print", 600)
    await lookups.accept(TASK, 60, origin="tests", kind="cep", once="key")
    clock.forward(61)

    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(lookups, "not_once", away)
        with pytest.raises(StoreUnavailable):
            await swept(sweeper)
    clock.forward(4)
    assert await swept(sweeper) == 1
    assert await lookups.once("key", "third print", 600) == "third print"


async def test_with_the_memory_full_what_is_overdue_ends_all_the_same(
    store: Store, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await planned(lookups)
    clock.forward(61)
    await store.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await store.do("SET", "consulta:more", "of it")
        assert await swept(sweeper) == 1
    finally:
        await store.redis.config_set("maxmemory", "0")
    view = await lookups.view(TASK)
    assert view is not None
    assert view.status == "SUCCESS"


async def test_nothing_is_noted_of_a_delay_for_a_lookup_that_ended_meanwhile(
    store: Store, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    asked = request(atraso=30)
    first = started("cep", ["endereco"])
    plan = await lookups.plan(asked, "digest", "s", ["endereco"], first)
    _, flight, _ = await lookups.leave(TASK)
    await lookups.record(flight, "end", event("error"))
    await lookups.schedule(asked, plan.deadline - asked.deadline)
    assert b"01001000" not in b"".join((await store.hash(f"consulta:lookup:{TASK}")).values())
    await lookups.schedule(request(task_id=OTHER), plan.deadline)
    assert not await store.redis.exists(f"consulta:lookup:{OTHER}")
    assert await store.redis.zcard("consulta:scheduled") == 0


async def test_what_a_version_put_off_that_told_no_deadline_does_not_wait_twice(
    bus: Bus, store: Store, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await lookups.accept(TASK, 120, origin="tests", kind="cep")
    await store.redis.hdel(f"consulta:lookup:{TASK}", "deadline")
    await lookups.schedule(request(atraso=30), clock.ms / 1000 + 30)
    clock.forward(34)
    assert await swept(sweeper) == 1
    assert (await taken(bus, REQUESTED)).delay == 0


async def test_one_lookup_that_cannot_be_ended_keeps_no_other_waiting(
    store: Store, lookups: Lookups, sweeper: Sweeper, clock: Clock
) -> None:
    await lookups.accept("broken", 59, origin="tests", kind="cep")
    await planned(lookups)
    await store.redis.delete("consulta:lookup:broken")
    await store.redis.set("consulta:lookup:broken", "no hash")
    clock.forward(61)
    assert await swept(sweeper) == 2
    view = await lookups.view(TASK)
    assert view is not None
    assert view.ended
