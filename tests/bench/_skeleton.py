"""`python -m tests.bench._skeleton gateway <port> | enricher | analyzer`: a lookup that is empty.

As many confirmed messages, pieces of news, trips to Redis, calls of providers and writes to the
client as a lookup that misses has, over the same libraries, in as many processes. Nothing is kept
for a second try, limited, joined, cached, counted or logged: nobody could look people up with less
in this shape, and nobody should with this.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

import aiohttp
import aiormq
import msgspec
import uvloop
from aiohttp import web
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic
from redis.asyncio.connection import Connection, parse_url

from shared import properties
from shared.store.connection import Pipeline
from tests.bench import _work

# Written, and what has been written so far: every step's trip does as much.
_STEP: Final = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
return redis.call('HVALS', KEYS[1])"""
_PERSISTENT: Final = 2
_IN_HAND: Final = 64
_ANALYSIS: Final = "skeleton.analysis"


class Order(msgspec.Struct):
    """A message of work, of either kind."""

    task: str
    client: str
    stage: str
    cpf: str


class News(msgspec.Struct):
    """Events of one task."""

    task: str
    events: list[Any]


_order: Final = msgspec.json.Decoder(Order).decode
_news: Final = msgspec.json.Decoder(News).decode


class Process:
    """The connections of one of the three."""

    redis: Pipeline
    confirmed: AbstractChannel
    news: AbstractChannel
    inbox: AbstractChannel
    script: str

    async def open(self) -> None:
        """Connect, as our services do: one connection for what goes out, one for what comes."""
        given = parse_url(os.environ["REDIS_URL"])
        self.redis = Pipeline(lambda: Connection(**given), 30)
        self.script = await self.redis.do("SCRIPT", "LOAD", _STEP)
        out = await aiormq.connect(os.environ["AMQP_URL"])
        self.confirmed = await out.channel(publisher_confirms=True)
        self.news = await out.channel(publisher_confirms=False)
        into = await aiormq.connect(os.environ["AMQP_URL"])
        self.inbox = await into.channel()
        await self.inbox.basic_qos(prefetch_count=_IN_HAND)

    async def step(self, task: str, room: str, field: str, value: bytes) -> list[bytes]:
        """One trip to Redis: what stands in that room of the task, this included."""
        found: list[bytes] = await self.redis.do(
            "EVALSHA", self.script, 1, f"skeleton:{task}:{room}", field, value
        )
        return found

    async def order(self, queue: str, order: Order) -> None:
        """Have a piece of work done, once the broker has stored it."""
        kept = Basic.Properties(delivery_mode=_PERSISTENT, priority=5)
        await self.confirmed.basic_publish(
            msgspec.json.encode(order), routing_key=queue, properties=kept
        )

    async def tell(self, client: str, task: str, *events: Any) -> None:
        """Have a gateway hear of events."""
        body = msgspec.json.encode(News(task, list(events)))
        await self.news.basic_publish(body, routing_key=client)

    async def work(self, queue: str, do: Callable[[Order], Awaitable[None]]) -> None:
        """Do what is ordered in that queue, and ack it then."""
        bounds: Any = {"x-max-priority": 10}
        await self.inbox.queue_declare(queue, durable=True, arguments=bounds)

        async def on_message(message: DeliveredMessage) -> None:
            await do(_order(message.body))
            assert message.delivery_tag is not None
            await self.inbox.basic_ack(message.delivery_tag, wait=False)

        await self.inbox.basic_consume(queue, on_message)


async def gateway(me: Process, port: int) -> None:
    """Take lookups on, and stream them."""
    client = uuid4().hex
    waiting: dict[str, asyncio.Queue[News]] = {}

    async def on_news(message: DeliveredMessage) -> None:
        piece = _news(message.body)
        waiting[piece.task].put_nowait(piece)

    async def look_up(request: web.Request) -> web.StreamResponse:
        asked, task = msgspec.json.decode(await request.read()), uuid4().hex
        events = waiting[task] = asyncio.Queue()
        await me.step(task, "plan", "request", await request.read())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        orders = (Order(task, client, stage, asked["identificador"]) for stage in _work.STAGES)
        await asyncio.gather(*(me.order(f"skeleton.{order.stage}", order) for order in orders))
        await me.step(task, "plan", "sent", b"1")
        for _ in range(len(_work.STAGES) + 1):
            for event in (await events.get()).events:
                await response.write(b"data: %b\n\n" % msgspec.json.encode(event))
        del waiting[task]
        await response.write_eof()
        return response

    await me.inbox.queue_declare(client, exclusive=True, auto_delete=True)
    await me.inbox.basic_consume(client, on_news, no_ack=True)
    app = web.Application()
    app.router.add_post("/", look_up)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def enricher(me: Process) -> None:
    """Ask the providers of all stages."""
    http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    simulator = os.environ["SIMULATOR"]

    async def fetch(order: Order) -> None:
        await me.step(order.task, "claims", order.stage, b"1")
        answer = await _work.asked(http, simulator, order.stage, order.cpf)
        outcome = _work.outcome(order.stage, answer)
        event = msgspec.json.encode(outcome)
        recorded = await me.step(order.task, "log", order.stage, event)
        await me.tell(order.client, order.task, outcome)
        if len(recorded) == len(_work.STAGES):
            await me.order(_ANALYSIS, order)

    for stage in _work.STAGES:
        await me.work(f"skeleton.{stage}", fetch)


async def analyzer(me: Process) -> None:
    """Make one result of the answers."""

    async def merge(order: Order) -> None:
        outcomes = await me.step(order.task, "log", "analysis", b"null")
        known = [found for each in outcomes if (found := msgspec.json.decode(each))]
        result = _work.merged(known)
        await me.step(order.task, "log", "analysis", msgspec.json.encode(result))
        await me.tell(order.client, order.task, result, {"tipo": "completo"})

    await me.work(_ANALYSIS, merge)


async def _main(role: str, *given: str) -> None:
    me = Process()
    await me.open()
    match role:
        case "gateway":
            await gateway(me, int(given[0]))
        case "enricher":
            await enricher(me)
        case "analyzer":
            await analyzer(me)
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    properties.install()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    uvloop.run(_main(*sys.argv[1:]))
