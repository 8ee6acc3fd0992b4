"""How soon a client hears of its lookup: from the POST to the first event, one lookup at a time.

The yardstick, in turn with it: one persistent message to a durable queue, from its publication to
both the broker's confirm and its delivery to a consumer on another connection, with aio-pika in the
process of the benchmark. Medians of three rounds.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aio_pika
import aiohttp
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from tests.bench._ask import people, session
from tests.bench._result import Measured, at_most
from tests.bench._size import TIMES, size
from tests.bench._stand import Stand, running


def measure() -> Measured:
    """The medians of both."""
    with running() as stand:
        rounds = uvloop.run(_rounds(stand))
    first, trip = (statistics.median(kind) for kind in zip(*rounds, strict=True))
    return Measured([at_most("first event after the POST", first, trip, 2.0, "ms")])


async def _rounds(stand: Stand) -> list[tuple[float, float]]:
    async with session() as http, _trips(stand.arenas.new().amqp_url) as trip:
        await _round(http, stand, trip, size(30, 5))
        return [await _round(http, stand, trip, size(300, 20)) for _ in range(TIMES)]


async def _round(
    http: aiohttp.ClientSession, stand: Stand, trip: Callable[[], Awaitable[None]], number: int
) -> tuple[float, float]:
    first, trips = [], []
    for cpf in people(number):
        began = time.perf_counter()
        await trip()
        trips.append((time.perf_counter() - began) * 1000)
        first.append(await _first_ms(http, stand.services.gateway, cpf))
    return statistics.median(first), statistics.median(trips)


async def _first_ms(http: aiohttp.ClientSession, gateway: str, cpf: str) -> float:
    began = time.perf_counter()
    body = {"identificador": cpf, "tipo": "cpf"}
    async with http.post(f"{gateway}/api/consulta-stream", json=body) as answer:
        assert answer.status == 200, answer.status
        async for line in answer.content:
            if line.startswith(b"data: "):
                break
        taken = time.perf_counter() - began
        # To its end, so that the next one finds nobody at work.
        await answer.read()
    return taken * 1000


@asynccontextmanager
async def _trips(amqp_url: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What sends a message to itself, through the broker."""
    async with (
        await aio_pika.connect(amqp_url) as sends,
        await aio_pika.connect(amqp_url) as hears,
    ):
        out, back = await sends.channel(), await hears.channel()
        queue = await back.declare_queue("bench", durable=True)
        arrived = asyncio.Event()

        async def arrive(_: AbstractIncomingMessage) -> None:
            arrived.set()

        await queue.consume(arrive, no_ack=True)
        message = aio_pika.Message(b"x" * 300, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)

        async def trip() -> None:
            arrived.clear()
            await out.default_exchange.publish(message, queue.name)
            await arrived.wait()

        yield trip
