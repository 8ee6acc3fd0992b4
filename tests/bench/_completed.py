"""Count the lookups that end, by their events on the bus."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shared.topology import EVENTS

# Longer than any step of a benchmark, so that one that stands still fails.
_STANDSTILL_S: Final = 120.0


class Completed:
    """Lookups that have ended in `completo` since the block began."""

    def __init__(self, amqp_url: str) -> None:
        self._url = amqp_url
        self._stack = AsyncExitStack()
        self._more = asyncio.Event()
        self.number = 0

    async def __aenter__(self) -> Self:
        connection = await self._stack.enter_async_context(await aio_pika.connect(self._url))
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, "#.completo")
        await queue.consume(self._count, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _count(self, _: AbstractIncomingMessage) -> None:
        self.number += 1
        self._more.set()

    async def reaches(self, wanted: int) -> None:
        """Wait until there are so many; fails where there is no more for two minutes."""
        while self.number < wanted:
            self._more.clear()
            async with asyncio.timeout(_STANDSTILL_S):
                await self._more.wait()
