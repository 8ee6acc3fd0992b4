"""Whatever is most urgent goes next, however much waits, however many replicas there are.

The limit is one call a second, so that "next" is a call and not a burst. Addresses of CEPs wait;
the urgent one is the address of a person, which is another provider's: the log tells them apart.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aio_pika
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from tests.arena import Arena
from tests.queue.asker import PATIENCE, ceps
from tests.queue.conftest import Stand, Stands
from tests.subjects import cpf, cpfs

QUEUE: Final = "stage.endereco"
PERSON: Final = "bridge_endereco"
ROUNDS: Final = 10
# Of the second between two calls, what has to be left when the urgent order is in the queue.
MARGIN: Final = 0.15


@dataclass
class Orders:
    """The orders that were put into the queue: of people's addresses, and of what is overdue.

    What was overtaken too often is put before all others, once, whatever is urgent then.
    """

    person: asyncio.Event
    overdue: int = 0
    excused: int = 0


@asynccontextmanager
async def orders(amqp_url: str) -> AsyncIterator[Orders]:
    """Watches the queue's orders of priority 9 and 10 arrive: it gets a copy of each."""
    seen = Orders(asyncio.Event())

    async def on_copy(copy: AbstractIncomingMessage) -> None:
        if (copy.priority or 0) >= 9:
            if msgspec.json.decode(copy.body)["kind"] == "cpf":
                seen.person.set()
            else:
                seen.overdue += 1

    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        copies = await channel.declare_queue(exclusive=True)
        await copies.bind("lookups", QUEUE)
        await copies.consume(on_copy, no_ack=True)
        yield seen


async def test_an_urgent_lookup_is_the_next_call_before_a_thousand_that_wait(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "endereco", RATE_ENDERECO="1/s")
    people = iter(cpfs(100, 280_012_389))
    async with orders(arena.amqp_url) as seen:
        # A few more, since some are served meanwhile.
        await stand.asker.ask_all(ceps(1100), prioridade=1, prazo=900)
        await stand.until_waiting(1000)
        for _ in range(ROUNDS):
            await _urgent_is_next(stand, seen, people)
        await stand.start("endereco.2", "endereco.3")
        for _ in range(ROUNDS):
            await _urgent_is_next(stand, seen, people)
        served = len(await stand.providers.calls())
    print(f"urgent was next {2 * ROUNDS} times, after {seen.excused} overdue; {served} calls")
    assert seen.overdue <= served / 20


async def _urgent_is_next(stand: Stand, seen: Orders, people: Iterator[str]) -> None:
    """One round; once more where our own side was too slow to queue it between two calls."""
    for _ in range(5):
        seen.person.clear()
        before = await stand.providers.calls()
        task = await stand.asker.ask(next(people), "cpf", etapas=["endereco"], prioridade=10)
        await asyncio.wait_for(seen.person.wait(), PATIENCE)
        in_time = time.time() < before[-1].time + 1 - MARGIN
        after = await stand.providers.until(len(before) + 1)
        await stand.asker.heard("endereco", [task])
        if not in_time:
            continue
        if after[len(before)].provider == PERSON:
            return
        seen.excused += 1
        assert seen.excused <= seen.overdue
    raise AssertionError("this machine is too busy to queue a lookup within a second")


async def test_an_urgent_asker_who_joins_does_not_wait_at_the_first_ones_priority(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, RATE_ENDERECO="1/s")
    await stand.asker.ask_all(ceps(100), prioridade=1, prazo=900)
    who: dict[str, Any] = {"identifier": cpf(280_012_389), "kind": "cpf", "etapas": ["endereco"]}
    first = await stand.asker.ask(**who, prioridade=1, prazo=900)
    await stand.until_waiting(101)
    async with orders(arena.amqp_url) as seen:
        await stand.start("endereco", "endereco.2")
        await stand.providers.until(2)
        joined = await stand.asker.ask(**who, prioridade=9, prazo=900)
        await asyncio.wait_for(seen.person.wait(), PATIENCE)
        queued_at = time.time()
    await stand.asker.heard("endereco", [first, joined])
    calls = [call for call in await stand.providers.calls() if call.time > queued_at]
    # One that had its permit already may have been on its way.
    assert [call.provider for call in calls].index(PERSON) <= 1
    assert [event["tipo"] for event in stand.asker.told(joined)][-1] == "endereco"
    assert stand.asker.told(first)[-1]["dados"] == stand.asker.told(joined)[-1]["dados"]
