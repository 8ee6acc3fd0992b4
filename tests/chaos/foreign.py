"""Askers on the bus: a service that is no part of this repository, with a durable queue."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError
from yarl import URL

from shared.messages import instant
from tests.chaos.asked import Asked

ORIGIN = "chaos"
PAUSE_S = 0.2
# aio-pika lets a bare RuntimeError out where a connection ends while it is being used.
_BROKEN = (AMQPError, OSError, TimeoutError, RuntimeError)


class Foreign:
    """Publishes lookups with confirm until they are taken, and hears their events.

    What it hears is at least once: events may come again, with the same body. It says when each
    lookup has to have ended, so that the time it stands in a queue counts.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lookups: dict[str, Asked] = {}
        self._exchange: AbstractExchange | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._bound = asyncio.Event()

    async def __aenter__(self) -> Self:
        keepers: list[Coroutine[Any, Any, None]] = [
            self._keep(self._consume, confirms=False),
            self._keep(self._publish, confirms=True),
        ]
        self._tasks = [asyncio.create_task(keeper) for keeper in keepers]
        async with asyncio.timeout(30):
            await self._bound.wait()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def lookup(self, asked: Asked) -> None:
        """One lookup, from its publication until each event has come, or its asker gives up."""
        asked.task_id = str(uuid4())
        self._lookups[asked.task_id] = asked
        while not await self._published(_request(asked)):
            asked.refused += 1
            asked.tried = True
            await asyncio.sleep(PAUSE_S)
        asked.was_accepted()
        while asked.owed and not asked.is_over:
            await asyncio.sleep(0.02)

    async def _published(self, body: bytes) -> bool:
        if self._exchange is None:
            return False
        message = aio_pika.Message(
            body,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            priority=5,
            message_id=uuid4().hex,
        )
        try:
            await self._exchange.publish(message, "lookup.requested", timeout=10)
        except _BROKEN:
            return False
        return True

    async def _publish(self, channel: AbstractChannel) -> None:
        self._exchange = await channel.get_exchange("lookups", ensure=False)

    async def _consume(self, channel: AbstractChannel) -> None:
        await channel.set_qos(prefetch_count=200)
        queue = await channel.declare_queue(ORIGIN, durable=True)
        await queue.bind("events", f"{ORIGIN}.#")
        await queue.consume(self._on_event)
        self._bound.set()

    async def _on_event(self, message: AbstractIncomingMessage) -> None:
        event = msgspec.json.decode(message.body)
        asked = self._lookups.get(event["task_id"])
        if asked is not None:
            asked.repeated += not asked.hear(event["seq"], message.body)
        with suppress(*_BROKEN):
            await message.ack()

    async def _keep(self, setup: Any, *, confirms: bool) -> None:
        """A connection for this, made again whenever it ends."""
        while True:
            with suppress(*_BROKEN):
                # Not `aio_pika.connect`: one that fails there is closed by the garbage collector,
                # which may come when the loop has gone.
                async with aio_pika.Connection(URL(self._url).update_query(heartbeat=15)) as link:
                    await link.connect(timeout=10)
                    channel = await link.channel(
                        publisher_confirms=confirms, on_return_raises=confirms
                    )
                    await setup(channel)
                    await channel.closed()
            self._exchange = None if confirms else self._exchange
            await asyncio.sleep(PAUSE_S)


def _request(asked: Asked) -> bytes:
    expires = instant(time.time() + asked.seconds)
    return msgspec.json.encode(
        {**asked.body(), "task_id": asked.task_id, "origem": ORIGIN, "expira_em": expires}
    )
