"""Whatever is most urgent goes next, however much waits, however many replicas there are.

The limit is one call a second, so that "next" is a call and not a burst. Addresses of CEPs wait;
the urgent one is the address of a person, which is another provider's: the log tells them apart.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
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


@asynccontextmanager
async def orders_of_priority(amqp_url: str, priority: int) -> AsyncIterator[asyncio.Event]:
    """Tells when an order of this priority was put into the queue: it gets a copy."""
    put = asyncio.Event()

    async def on_copy(copy: AbstractIncomingMessage) -> None:
        if copy.priority == priority:
            put.set()

    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        copies = await channel.declare_queue(exclusive=True)
        await copies.bind("lookups", QUEUE)
        await copies.consume(on_copy, no_ack=True)
        yield put


async def test_an_urgent_lookup_is_the_next_call_before_a_thousand_that_wait(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, RATE_ENDERECO="1/s")
    await stand.asker.ask_all(ceps(1000), prioridade=1, prazo=900)
    await stand.until_waiting(1000)
    people = iter(cpfs(100, 280_012_389))
    async with orders_of_priority(arena.amqp_url, 10) as put:
        await stand.start("endereco")
        await stand.providers.until(2)
        for _ in range(ROUNDS):
            await _urgent_is_next(stand, put, people)
        await stand.start("endereco.2", "endereco.3")
        await stand.providers.until(len(await stand.providers.calls()) + 2)
        for _ in range(ROUNDS):
            await _urgent_is_next(stand, put, people)


async def _urgent_is_next(stand: Stand, put: asyncio.Event, people: Iterator[str]) -> None:
    """One round. Where our own side was too slow to queue it between two calls, once more."""
    for _ in range(5):
        put.clear()
        before = await stand.providers.calls()
        task = await stand.asker.ask(next(people), "cpf", etapas=["endereco"], prioridade=10)
        await asyncio.wait_for(put.wait(), PATIENCE)
        in_time = time.time() < before[-1].time + 1 - MARGIN
        after = await stand.providers.until(len(before) + 1)
        if in_time:
            assert after[len(before)].provider == PERSON
        await stand.asker.heard("endereco", [task])
        if in_time:
            return
    raise AssertionError("this machine is too busy to queue a lookup within a second")


async def test_an_urgent_asker_who_joins_does_not_wait_at_the_first_ones_priority(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, RATE_ENDERECO="1/s")
    await stand.asker.ask_all(ceps(100), prioridade=1, prazo=900)
    who = {"identifier": cpf(280_012_389), "kind": "cpf", "etapas": ["endereco"]}
    first = await stand.asker.ask(**who, prioridade=1, prazo=900)
    await stand.until_waiting(101)
    async with orders_of_priority(arena.amqp_url, 9) as put:
        await stand.start("endereco", "endereco.2")
        await stand.providers.until(2)
        joined = await stand.asker.ask(**who, prioridade=9, prazo=900)
        await asyncio.wait_for(put.wait(), PATIENCE)
        queued_at = time.time()
    await stand.asker.heard("endereco", [first, joined])
    calls = [call for call in await stand.providers.calls() if call.time > queued_at]
    # One that had its permit already may have been on its way.
    assert [call.provider for call in calls].index(PERSON) <= 1
    assert [event["tipo"] for event in stand.asker.told(joined)][-1] == "endereco"
    assert stand.asker.told(first)[-1]["dados"] == stand.asker.told(joined)[-1]["dados"]
