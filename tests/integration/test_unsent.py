"""A gateway that dies between writing a lookup down and sending its orders: they are sent."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared.bus import Bus
from shared.errors import BusUnavailable, StoreUnavailable
from shared.flow.planner import Planned, asks
from shared.flow.sweeper import GRACE_S, Sweeper
from shared.identifiers import Kind
from shared.limits import Limit, Limiter, Permit
from shared.lookups import SENDING_S, Lookups
from shared.messages import Requested
from shared.reporter import Reporter, event
from shared.results import started
from shared.store import Store
from shared.topology import REQUESTED
from tests.contract.test_providers_on_simulator import KNOWN
from tests.integration.test_ordered_again import QUEUE, Desk, desk

__all__ = ["desk"]


@dataclass
class Gateway:
    """The half of a gateway that asks, beside the service that takes requests from the bus."""

    desk: Desk
    sweeper: Sweeper
    store: Store

    async def board(self, kind: Kind = "cep", **more: Any) -> Planned:
        """Accept a lookup and write its plan down, and go no further."""
        told = {"task_id": str(uuid4()), "origem": "gateway", "identificador": KNOWN[kind]}
        request = msgspec.convert({**told, "tipo": kind, **more}, Requested)
        request.tenant = "acme"
        return await self.desk.planner.board(request, {"tenant": "acme"})

    async def swept(self) -> list[Requested]:
        """What whoever sweeps a while later sends again, and then is planned."""
        self.desk.clock.forward(GRACE_S + SENDING_S + 0.1)
        await self.sweeper.start()
        bodies = await self.desk.taken(REQUESTED.name)
        requests = [msgspec.convert(body, Requested) for body in bodies]
        for request in requests:
            await self.desk.planner.plan(request)
        return requests


@pytest.fixture
def gateway(bus: Bus, desk: Desk, store: Store) -> Gateway:
    return Gateway(desk, Sweeper(bus, desk.lookups, desk.planner.endings), store)


async def test_what_a_gateway_accepted_and_did_not_begin_is_begun(
    gateway: Gateway, desk: Desk, store: Store
) -> None:
    planned = await gateway.board(prioridade=7)
    assert planned.is_new
    assert await desk.taken() == []
    [request] = await gateway.swept()
    assert (request.task_id, request.priority) == (planned.request.task_id, 7)
    [order] = await desk.taken()
    assert (order["flight"], order["priority"]) == (planned.plan.flight, 7)
    # Once: now they are known to be on the bus, and nothing of the request is kept.
    assert await gateway.swept() == []
    assert await store.redis.zcard("consulta:scheduled") == 0
    view = await desk.lookups.view(request.task_id)
    assert view is not None
    assert view.lookup["tenant"] == "acme"
    assert "request" not in view.lookup
    assert "unsent" not in view.flight


async def test_what_has_begun_is_not_sent_again(gateway: Gateway, desk: Desk, store: Store) -> None:
    planned = await gateway.board()
    await desk.planner.begin(planned)
    assert len(await desk.taken()) == 1
    for items in ("consulta:scheduled", "consulta:untold"):
        assert await store.redis.zcard(items) == 0
    assert await gateway.swept() == []
    assert await desk.taken() == []


async def test_whoever_joins_a_flight_that_nobody_begins_has_it_begun(
    gateway: Gateway, desk: Desk
) -> None:
    first, second = await gateway.board(), await gateway.board()
    assert second.plan.flight == first.plan.flight
    # The first one's gateway dies. The second one has nothing to do, and says that it has it done.
    await desk.planner.begin(second)
    await desk.planner.endings.refuse(first.request.task_id, "cancelado")
    requests = await gateway.swept()
    assert [request.task_id for request in requests] == [second.request.task_id]
    [order] = await desk.taken()
    assert order["flight"] == first.plan.flight


async def test_who_joins_a_flight_that_is_begun_a_moment_later_has_nothing_sent_again(
    gateway: Gateway, desk: Desk, store: Store
) -> None:
    first, second = await gateway.board(), await gateway.board()
    await desk.planner.begin(second)
    await desk.planner.begin(first)
    assert len(await desk.taken()) == 1
    assert await gateway.swept() == []
    assert await store.redis.zcard("consulta:scheduled") == 0
    view = await desk.lookups.view(second.request.task_id)
    assert view is not None
    assert "request" not in view.lookup


async def test_an_order_that_is_sent_twice_is_carried_out_once(
    gateway: Gateway, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await gateway.board()

    async def unanswered(*_: object) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(Lookups, "sent", unanswered)
        await desk.planner.begin(planned)
    assert len(await gateway.swept()) == 1
    orders = await desk.taken()
    claims = [
        await desk.lookups.claim(planned.plan.flight, "endereco", order["order"], QUEUE)
        for order in orders
    ]
    assert [claim.verdict for claim in claims] == ["go", "drop"]


async def test_what_was_cancelled_before_it_was_begun_is_not_begun(
    gateway: Gateway, desk: Desk
) -> None:
    planned = await gateway.board()
    await desk.planner.endings.refuse(planned.request.task_id, "cancelado")
    assert await gateway.swept() == []
    # Nor is an order carried out that was sent nevertheless.
    await desk.planner.begin(planned)
    [order] = await desk.taken()
    flight = planned.plan.flight
    claim = await desk.lookups.claim(flight, "endereco", order["order"], QUEUE)
    assert claim.verdict == "drop"
    # Whoever asks now is no passenger of that one.
    assert (await gateway.board()).plan.flight != flight


async def test_what_starts_later_starts_though_its_gateway_did_not_put_it_off(
    gateway: Gateway, desk: Desk, store: Store
) -> None:
    planned = await gateway.board(atraso=60)
    assert planned.plan.verdict == "early"
    assert await gateway.swept() == []
    desk.clock.forward(53)
    [request] = await gateway.swept()
    assert request.task_id == planned.request.task_id
    assert len(await desk.taken()) == 1
    assert await store.redis.zcard("consulta:scheduled") == 0


async def test_who_joins_by_the_bus_a_flight_that_nobody_has_begun_has_it_begun(
    gateway: Gateway, desk: Desk
) -> None:
    first = await gateway.board()
    await desk.ask()
    [order] = await desk.taken()
    assert order["flight"] == first.plan.flight
    # The first one's gateway has died, and who leaves takes nothing along.
    await desk.planner.endings.refuse(first.request.task_id, "cancelado")
    assert await gateway.swept() == []


async def test_what_ended_long_ago_is_not_begun_by_a_copy_that_is_read_late(
    gateway: Gateway, desk: Desk, store: Store
) -> None:
    planned = await gateway.board(prazo=5)
    desk.clock.forward(GRACE_S + SENDING_S + 0.1)
    await gateway.sweeper.start()
    desk.clock.forward(60)
    await store.redis.flushdb()
    [late] = await desk.taken(REQUESTED.name)
    await desk.planner.plan(msgspec.convert(late, Requested))
    assert late["task_id"] == planned.request.task_id
    assert await desk.taken() == []


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """Of each asker that is told something, in order, the seqs."""
    told: list[tuple[str, list[int]]] = []
    publish = Reporter._publish

    async def hear(self: Reporter, askers: dict[str, str], events: list[tuple[int, bytes]]) -> None:
        told.extend((task, [seq for seq, _ in events]) for task in askers)
        await publish(self, askers, events)

    monkeypatch.setattr(Reporter, "_publish", hear)
    return told


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("way", ["leads", "renews"])
async def test_what_a_gateway_did_not_tell_of_a_flight_that_has_ended_since_is_told(
    gateway: Gateway, desk: Desk, store: Store, heard: list[tuple[str, list[int]]], way: str,
    cached: bool,
) -> None:  # fmt: skip
    """The orders were on the bus, so that all of it was done; but one wrote more than it told."""
    if way == "leads":
        planned, other = await gateway.board(), await desk.ask()
    else:
        other = await desk.ask(prioridade=1)
        planned = await gateway.board(prioridade=9)
    assert planned.plan.verdict == way
    flight = planned.plan.flight
    if cached:
        await desk.ended(flight, "endereco", "ok")
    else:
        wait = {"etapa": "endereco", "retry_at": "2026-01-01T00:00:00Z"}
        await desk.lookups.record(flight, "aguardando:endereco", event("aguardando", wait))
        await desk.ended(flight, "endereco", "ok")
    await desk.ended(flight, "analysis", "ok")
    await desk.planner.endings.complete(flight)
    last = 4 if cached else 5
    assert (other, [last]) in heard
    heard.clear()
    await gateway.swept()
    assert (other, list(range(1, last + 1))) in heard
    # Once.
    assert await store.redis.zcard("consulta:untold") == 0
    heard.clear()
    assert await gateway.swept() == []
    assert heard == []


@pytest.mark.parametrize("left", [False, True])
async def test_what_one_who_planned_by_the_bus_did_not_tell_of_a_flight_that_has_ended_is_told(
    desk: Desk, heard: list[tuple[str, list[int]]], left: bool
) -> None:
    """It was killed after it wrote a wait down, and what it was delivered is delivered again."""
    other, task = await desk.ask(prioridade=1), str(uuid4())
    told = {"task_id": task, "origem": "tests", "identificador": KNOWN["cep"], "tipo": "cep"}
    request = msgspec.convert({**told, "prioridade": 9}, Requested)
    planned = await desk.planner.board(request)
    assert planned.plan.verdict == "renews"
    flight = planned.plan.flight
    wait = {"etapa": "endereco", "retry_at": "2026-01-01T00:00:00Z"}
    await desk.lookups.record(flight, "aguardando:endereco", event("aguardando", wait))
    if left:
        # Meanwhile the time of the second one was up.
        await desk.planner.endings.expire(task)
    await desk.ended(flight, "endereco", "ok")
    await desk.ended(flight, "analysis", "ok")
    await desk.planner.endings.complete(flight)
    heard.clear()
    await desk.planner.plan(request)
    assert sorted(heard) == sorted([(other, [1, 2, 3, 4, 5]), (task, [1, 2, 3, 4, 5])])


async def test_what_cannot_be_told_is_told_later(
    gateway: Gateway,
    desk: Desk,
    store: Store,
    heard: list[tuple[str, list[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And keeps nothing else from its turn, as nothing keeps it."""
    other = await desk.ask(prioridade=1)
    planned = await gateway.board(prioridade=9)
    await desk.taken()

    async def away(*_: object, **__: object) -> None:
        raise BusUnavailable("the test says so")

    desk.clock.forward(GRACE_S + SENDING_S + 0.1)
    for broken in ("astray", "retell"):
        with monkeypatch.context() as patch:
            patch.setattr(desk.planner.reporter, "retell", away)
            if broken == "astray":
                patch.setattr(desk.lookups, "astray", away)
            with pytest.raises(BusUnavailable):
                await gateway.sweeper.start()
        [again] = await desk.taken(REQUESTED.name)
        assert again["task_id"] == planned.request.task_id
        assert await store.redis.zcard("consulta:untold") == 1
        desk.clock.forward(10.1)
    heard.clear()
    await gateway.sweeper.start()
    assert (other, [1]) in heard
    assert await store.redis.zcard("consulta:untold") == 0


async def test_who_leaves_a_shared_flight_is_told_all_of_it(
    gateway: Gateway, desk: Desk, heard: list[tuple[str, list[int]]]
) -> None:
    """What somebody wrote there and has not told yet, it tells only those who are still aboard."""
    planned, other = await gateway.board(), await desk.ask()
    flight = planned.plan.flight
    await desk.ended(flight, "endereco", "ok")
    heard.clear()
    await desk.planner.endings.expire(other)
    assert heard == [(other, [1, 2, 3, 4])]


async def test_who_is_taken_out_of_a_shared_flight_by_one_who_dies_is_told_all_of_it(
    gateway: Gateway, desk: Desk, heard: list[tuple[str, list[int]]]
) -> None:
    planned, other = await gateway.board(), await desk.ask()
    await desk.ended(planned.plan.flight, "endereco", "ok")
    heard.clear()
    await desk.lookups.leave(other)
    await desk.planner.endings.expire(other)
    assert heard == [(other, [1, 2, 3, 4])]


@pytest.mark.parametrize("way", ["swept", "joined"])
async def test_what_a_gateway_wrote_down_and_did_not_tell_is_told(
    gateway: Gateway,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    heard: list[tuple[str, list[int]]],
    way: str,
) -> None:
    """A wait for a limit, to one who joined by the bus before it stood in the log."""
    planned = await gateway.board()
    flight, other = planned.plan.flight, str(uuid4())
    wait = {"etapa": "endereco", "retry_at": "2026-01-01T00:00:00Z"}
    if way == "swept":
        # The process that took it from the bus dies as well, before it orders.
        about = planned.about
        request = Requested(task_id=other, origin="billing", identifier=KNOWN["cep"], kind="cep")
        alike = asks(request, about.stages)
        joined = await desk.lookups.plan(
            request, about.digest, alike, about.stages, started("cep", about.stages)
        )
        assert (joined.verdict, joined.flight) == ("renews", flight)
    await desk.lookups.record(flight, "aguardando:endereco", event("aguardando", wait))
    heard.clear()
    if way == "swept":
        await gateway.swept()
        assert (other, [1, 2]) in heard
    else:
        limits = {**desk.planner.orders._limits, QUEUE: Limit.parse(QUEUE, "1/min")}
        monkeypatch.setattr(desk.planner.orders, "_limits", limits)
        await Limiter(gateway.store).acquire(Permit(limits[QUEUE]))
        other = await desk.ask()
        assert (planned.request.task_id, [2]) in heard
        assert (other, [1, 2]) in heard
