"""Redis commands of one turn of the event loop, sent together.

Many requests are handled in one turn, and each would write to a socket and wait for its answer
alone. Gathered into one pipeline they share both; a command that comes alone goes out alone.
"""

import asyncio
from typing import Any, Final

from redis.asyncio import Redis

Command = tuple[Any, ...]

# A pipeline's answers are read as one; beyond this the first would wait long for the last.
LARGEST: Final = 500


class Gather:
    """Sends commands together. One at a time is awaited, several may be under way."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def do(self, *command: Any) -> Any:
        """Run one command.

        Raises:
            RedisError: as redis-py would for it alone.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._send)
        elif len(self._waiting) >= LARGEST:
            self._send()
        return await answer

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _send(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch:
            task = asyncio.create_task(self._exchange(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _exchange(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        try:
            pipe = self._redis.pipeline(transaction=False)
            for command, _ in batch:
                pipe.execute_command(*command)
            answers = await pipe.execute(raise_on_error=False)
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # its waiter was cancelled
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
