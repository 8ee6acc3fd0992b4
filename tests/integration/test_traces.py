"""A trace goes from a message to all that its handler publishes, and to nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from msgspec import Struct

from shared.bus import Bus
from shared.consumer import Consumer, Delivery
from shared.domain.trace import TRACE, carried, carrying
from shared.topology import EVENTS, LOOKUPS, Queue, declare
from tests.arena import Arena


class Note(Struct):
    text: str


NOTES, NEXT = Queue("test.notes", Note), Queue("test.next", Note)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE = 60


@pytest.fixture
async def channel(arena: Arena) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(arena.amqp_url) as connection:
        channel = await connection.channel()
        await declare(channel, (NOTES, NEXT))
        yield channel


async def heard(queue: AbstractQueue, number: int) -> dict[str, Any]:
    """The traces of so many events, by their keys."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            found[message.routing_key or ""] = message.headers.get(TRACE)
            if len(found) == number:
                break
    return found


async def test_a_trace_travels_through_retries_delays_and_orders_to_the_last_event(
    bus: Bus, channel: AbstractChannel
) -> None:
    failures = [ValueError("once")]

    async def first(note: Note, delivery: Delivery) -> None:
        if failures and note.text == "traced":
            raise failures.pop()
        await bus.command(NEXT, note, delay=1 if note.text == "traced" else 0)

    async def second(note: Note, _: Delivery) -> None:
        await bus.event(f"tests.{note.text}", b"{}")

    events = await channel.declare_queue(exclusive=True)
    await events.bind(EVENTS, "tests.#")
    Consumer(bus, NOTES, first)
    Consumer(bus, NEXT, second)
    await bus.publish(LOOKUPS, NOTES.name, b'{"text":"traced"}', headers={TRACE: PARENT})
    await bus.publish(LOOKUPS, NOTES.name, b'{"text":"other"}')
    assert await heard(events, 2) == {"tests.traced": PARENT, "tests.other": None}


@pytest.mark.parametrize(
    "given",
    [
        None, 17, "", "x" * 10_000, PARENT.upper(), PARENT + "\n", PARENT + "-01",
        "ff" + PARENT[2:], f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{'a' * 32}-{'0' * 16}-01",
    ],
)  # fmt: skip
def test_what_is_no_trace_is_not_carried(given: object) -> None:
    with carrying(PARENT):
        with carrying(given):
            assert carried() == ""
        assert carried() == PARENT
    assert carried() == ""
