"""What became of a flight's orders: whoever joins it later has those that got lost made anew."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aio_pika.abc import AbstractChannel

from shared.bus import Bus
from shared.cache import Cache
from shared.flow.ending import Endings
from shared.flow.freshness import Freshness
from shared.flow.planner import Planner
from shared.identifiers import Kind
from shared.limits import Limiter
from shared.lookups import Lookups
from shared.messages import Event, Outcome, Requested
from shared.orders import Orders, Rates
from shared.reporter import Reporter, event
from shared.settings import Secret, load
from shared.store import Store
from shared.topology import ANALYSIS, STAGE_QUEUES
from tests.contract.test_providers_on_simulator import KNOWN
from tests.integration.test_sweeper import Clock

QUEUE = "stage.endereco"
REGISTRATION = {"endereco": {"cep": "01001000"}, "telefones": []}


@dataclass
class Desk:
    """Where lookups are asked for, and the queues as an operator sees them."""

    planner: Planner
    lookups: Lookups
    clock: Clock
    channel: AbstractChannel

    async def ask(self, kind: Kind = "cep", **more: Any) -> str:
        """Ask for the same as everybody else. Returns the task."""
        task = str(uuid4())
        told = {"task_id": task, "origem": "tests", "identificador": KNOWN[kind], "tipo": kind}
        await self.planner.plan(msgspec.convert({**told, **more}, Requested))
        return task

    async def flight(self, task: str) -> str:
        view = await self.lookups.view(task)
        assert view is not None
        return view.lookup["flight"]

    async def ended(self, flight: str, stage: Any, outcome: Outcome, data: Any = None) -> None:
        told: Event = event(stage, data, outcome)
        await self.lookups.record(flight, stage, told, counts=stage != "analysis")

    async def taken(self, name: str = QUEUE) -> list[Any]:
        """The orders in a queue, which then is empty: taken by a consumer, or by a purge."""
        queue, orders = await self.channel.get_queue(name, ensure=False), []
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            orders.append(msgspec.json.decode(message.body))
        return orders


@pytest.fixture
def desk(bus: Bus, store: Store, channel: AbstractChannel) -> Desk:
    clock = Clock()
    # Claims know no clock but Redis' own.
    clock.ms = round(time.time() * 1000)
    lookups, cache = Lookups(store, clock), Cache(store, Secret("x"))
    reporter = Reporter(bus, lookups)
    off = {f"RATE_{name}".upper(): "off" for name in (*STAGE_QUEUES, "analysis")}
    orders = Orders(bus, Limiter(store), reporter, load(Rates, off), load(Freshness, {}))
    endings = Endings(lookups, reporter)
    planner = Planner(bus, lookups, cache, reporter, orders, endings)
    return Desk(planner, lookups, clock, channel)


async def test_who_joins_later_has_what_is_still_to_be_done_ordered_again(desk: Desk) -> None:
    flight = await desk.flight(await desk.ask())
    [lost] = await desk.taken()
    desk.clock.forward(9)
    assert await desk.flight(await desk.ask()) == flight
    assert await desk.taken() == []
    desk.clock.forward(2)
    await desk.ask()
    [again] = await desk.taken()
    assert again == {**lost, "order": again["order"]}
    # Not for each who joins.
    desk.clock.forward(9)
    await desk.ask()
    assert await desk.taken() == []
    # It was not lost after all: one of the two is carried out.
    claims = [
        await desk.lookups.claim(flight, "endereco", order["order"], QUEUE)
        for order in (again, lost)
    ]
    assert [claim.verdict for claim in claims] == ["go", "drop"]


async def test_an_urgent_asker_s_orders_are_the_latest(desk: Desk) -> None:
    await desk.ask(prioridade=1)
    desk.clock.forward(9)
    await desk.ask(prioridade=9)
    desk.clock.forward(9)
    await desk.ask()
    assert [order["priority"] for order in await desk.taken()] == [9, 1]


async def test_a_stage_that_waited_for_another_is_ordered_by_what_that_one_told(
    desk: Desk,
) -> None:
    flight = await desk.flight(await desk.ask("cnpj"))
    await desk.taken("stage.cadastro")
    await desk.ended(flight, "cadastro", "ok", REGISTRATION)
    desk.clock.forward(11)
    await desk.ask("cnpj")
    [address] = await desk.taken()
    assert (address["input_kind"], address["inputs"]) == ("cep", ["01001000"])
    assert await desk.taken("stage.cadastro") == []
    # There is no number to look up.
    assert b'"tipo":"telefone"' in (await desk.lookups.log(flight))[-1]
    assert b"nao_encontrado" in (await desk.lookups.log(flight))[-1]


async def test_a_stage_whose_registration_nobody_could_tell_is_not_said_to_be_missing(
    desk: Desk,
) -> None:
    flight = await desk.flight(await desk.ask("cnpj"))
    await desk.ended(flight, "cadastro", "indisponivel")
    desk.clock.forward(11)
    await desk.ask("cnpj")
    for body in (await desk.lookups.log(flight))[-2:]:
        assert msgspec.json.decode(body)["situacao"] == "indisponivel"
    assert len(await desk.taken(ANALYSIS.name)) == 1


async def test_an_analysis_whose_order_was_lost_is_ordered_again(desk: Desk) -> None:
    flight = await desk.flight(await desk.ask())
    await desk.taken()
    await desk.ended(flight, "endereco", "indisponivel")
    desk.clock.forward(11)
    await desk.ask()
    assert await desk.taken() == []
    [order] = await desk.taken(ANALYSIS.name)
    assert order["flight"] == flight


async def test_what_is_analyzed_and_was_not_heard_of_is_completed(desk: Desk) -> None:
    first = await desk.ask()
    flight = await desk.flight(first)
    await desk.ended(flight, "endereco", "indisponivel")
    await desk.ended(flight, "analysis", "ok", {})
    desk.clock.forward(11)
    second = await desk.ask()
    for task in (first, second):
        view = await desk.lookups.view(task)
        assert view is not None
        assert view.status == "SUCCESS"
