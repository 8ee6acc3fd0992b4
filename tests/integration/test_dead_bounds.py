"""The dead queues are bounded by whoever makes them, and those of old stay in use as they are."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelPreconditionFailed

from shared.bus import Bus
from shared.consumer import Consumer, Delivery
from shared.messages import JobRequested
from shared.topology import DEAD, JOBS, QUEUES, UNROUTABLE_DEAD
from tests.arena import Arena

PATIENCE = 60
DEAD_QUEUES = [*(queue.dead for queue in QUEUES), UNROUTABLE_DEAD]


@pytest.fixture
async def connection(arena: Arena) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    async with await aio_pika.connect(arena.amqp_url) as connection:
        yield connection


async def arrived(channel: AbstractChannel, name: str, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            queue = await channel.declare_queue(name, passive=True)
            if queue.declaration_result.message_count == number:
                return


async def nothing(_: JobRequested, __: Delivery) -> None:
    """A handler that is never reached."""


@pytest.mark.parametrize("name", [JOBS.dead, UNROUTABLE_DEAD])
async def test_a_dead_queue_keeps_for_thirty_days_and_at_most_256_mib(
    bus: Bus, connection: aio_pika.abc.AbstractConnection, name: str
) -> None:
    bounds: dict[str, Any] = {"x-message-ttl": 30 * 86_400_000, "x-max-length-bytes": 2**28}
    await (await connection.channel()).declare_queue(name, durable=True, arguments=bounds)
    with pytest.raises(ChannelPreconditionFailed):
        await (await connection.channel()).declare_queue(name, durable=True)


async def test_dead_queues_made_without_bounds_stay_in_use_and_are_named_once(
    arena: Arena,
    connection: aio_pika.abc.AbstractConnection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel = await connection.channel()
    for name in DEAD_QUEUES:
        await channel.declare_queue(name, durable=True)
    await channel.default_exchange.publish(aio_pika.Message(b"kept"), JOBS.dead)
    for lives in (1, 2):
        async with Bus(arena.amqp_url, "tests") as bus:
            await bus.declared()
            Consumer(bus, JOBS, nothing)
            await bus.publish("lookups", JOBS.name, b"no job")
            await bus.publish(DEAD, JOBS.dead, b"buried")
            await arrived(channel, JOBS.dead, 1 + 2 * lives)
    lines = [each.getMessage() for each in caplog.records if "without bounds" in each.getMessage()]
    assert len(lines) == 1
    assert all(name in lines[0] for name in DEAD_QUEUES)
    assert "deploy/rabbitmq/definitions.json" in lines[0]
    # That one would be refused what is made anew.
    assert "after the last 0.1.0 is gone" in lines[0]
