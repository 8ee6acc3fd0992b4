"""What an operator deletes and nobody consumes from is made anew by who publishes there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from shared.bus import Bus
from shared.consumer import Consumer, Delivery
from shared.errors import BusUnavailable
from shared.messages import JobRequested
from shared.topology import JOBS, delay_route
from tests.arena import Arena

PATIENCE = 60


@pytest.fixture
async def channel(arena: Arena) -> AsyncIterator[AbstractChannel]:
    """A plain channel beside the bus, as an operator would have one."""
    async with await aio_pika.connect(arena.amqp_url) as connection:
        yield await connection.channel()


async def nothing(_: JobRequested, __: Delivery) -> None:
    """A handler that is never reached."""


async def arrived(bus: Bus, queue: str, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await bus.depths([queue]))[queue] != number:
            pass


async def again(publish: Callable[[], Awaitable[None]]) -> None:
    """As everybody who publishes does it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await publish()
            except BusUnavailable:
                await asyncio.sleep(0.01)


async def test_a_burial_makes_its_deleted_dead_queue_anew(
    bus: Bus, channel: AbstractChannel
) -> None:
    Consumer(bus, JOBS, nothing)
    async with asyncio.timeout(PATIENCE):
        while not bus.is_up:
            await asyncio.sleep(0)
    await channel.queue_delete(JOBS.dead)
    await bus.publish("lookups", JOBS.name, b"no job")
    await arrived(bus, JOBS.dead, 1)


async def test_a_delay_makes_its_deleted_queue_anew(bus: Bus, channel: AbstractChannel) -> None:
    await channel.queue_delete("delay.0")
    await again(lambda: bus.publish(*delay_route(1, JOBS.name), b"{}"))
    await arrived(bus, JOBS.name, 1)
    # Its binding to the levels above is there as well.
    await bus.publish(*delay_route(3, JOBS.name), b"{}")
    await arrived(bus, JOBS.name, 2)


async def test_a_delay_makes_its_deleted_exchange_anew(bus: Bus, channel: AbstractChannel) -> None:
    await channel.exchange_delete("delay.0")
    await again(lambda: bus.publish(*delay_route(1, JOBS.name), b"{}"))
    await arrived(bus, JOBS.name, 1)


async def test_what_no_declaration_mends_has_everything_declared_once_in_a_while(
    bus: Bus, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = 0

    async def declare(_: AbstractChannel) -> None:
        nonlocal declared
        declared += 1

    monkeypatch.setattr(bus, "_declare", declare)
    for _ in range(3):
        with pytest.raises(BusUnavailable):
            await bus.publish("lookups", "no.such.queue", b"{}")
    assert declared == 1
    assert bus.is_connected


async def test_a_declaration_that_is_refused_meanwhile_is_told_and_ends_nothing(
    bus: Bus, channel: AbstractChannel, caplog: pytest.LogCaptureFixture
) -> None:
    await channel.queue_delete(JOBS.name)
    await channel.declare_queue(JOBS.name, durable=True)
    with pytest.raises(BusUnavailable):
        await bus.publish("lookups", JOBS.name, b"{}")
    assert "inequivalent arg" in caplog.text
    assert bus.is_connected
