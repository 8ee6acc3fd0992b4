"""An intake that stops, or whose Redis is away, keeps its channel and nobody's message."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from msgspec import Struct

from shared.bus import Bus
from shared.errors import StoreUnavailable
from shared.intake import Intake
from shared.limits import Limit, Limiter
from shared.topology import Queue
from tests.virtual_time import run


class Note(Struct):
    text: str


NOTES = Queue("test.notes", Note)
Ring = Callable[[AbstractIncomingMessage], Awaitable[None]]


class FakeIncoming:
    """A message that says how it was answered."""

    def __init__(self) -> None:
        self.nacked = False

    async def nack(self, requeue: bool = True) -> None:
        self.nacked = requeue


class FakeQueue:
    """A queue that is empty when asked, and whose broker takes a second for each answer.

    Args:
        rings: seconds after the consumer was there until a message comes; None for never.
    """

    name = "test.notes"

    def __init__(self, rings: float | None = None) -> None:
        self.incoming = FakeIncoming()
        self.consumers = 0
        self.cut = False
        self.channel = SimpleNamespace(close=self._close)
        self._rings = rings

    async def _close(self) -> None:
        self.cut = True

    async def _answer(self) -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            # As aiormq does it.
            self.cut = True
            raise

    async def consume(self, ring: Ring) -> str:
        await self._answer()
        self.consumers += 1
        if self._rings is not None:
            incoming = cast(AbstractIncomingMessage, self.incoming)
            loop = asyncio.get_running_loop()
            loop.call_later(self._rings, lambda: loop.create_task(cast(Any, ring(incoming))))
        return "tag"

    async def cancel(self, _: str) -> None:
        await self._answer()
        self.consumers -= 1

    async def get(self, **_: Any) -> None:
        await self._answer()


class FakeLimiter:
    """A Redis that is away when a permit is given back, so often."""

    def __init__(self, away: int = 0) -> None:
        self.settled, self._away = 0, away

    async def acquire(self, _: Any, **__: Any) -> float:
        return 0.0

    async def settle(self, _: Any) -> None:
        self.settled += 1
        if self.settled <= self._away:
            raise StoreUnavailable("Redis is away")


def intake(limiter: FakeLimiter) -> Intake:
    bus = SimpleNamespace(link=lambda *_: None, owns=lambda _: None)

    async def handler(*_: Any) -> None:
        """A handler that is never reached."""

    return Intake(
        cast(Bus, bus),
        NOTES,
        handler,
        limiter=cast(Limiter, limiter),
        limit=Limit.parse(NOTES.name, "100/s"),
    )


# While its consumer is registered, while it waits, as the message comes, and while it is cancelled.
@pytest.mark.parametrize("after", [0.5, 1.5, 2.0, 2.5])
@pytest.mark.parametrize("rings", [1.0, 1.7, None])
def test_a_doorbell_that_is_stopped_leaves_no_consumer_and_keeps_no_message(
    after: float, rings: float | None
) -> None:
    queue = FakeQueue(rings)

    async def main() -> None:
        bell = asyncio.create_task(intake(FakeLimiter())._doorbell(cast(AbstractQueue, queue)))
        await asyncio.sleep(after)
        bell.cancel()
        await asyncio.wait({bell})
        assert bell.cancelled()
        assert queue.consumers == 0
        # What was on its way comes in a moment.
        await asyncio.sleep(5)

    run(main())
    assert not queue.cut
    assert queue.incoming.nacked is (rings is not None)


def test_an_empty_queue_is_waited_for_while_redis_is_away() -> None:
    queue, limiter = FakeQueue(), FakeLimiter(away=1)

    async def main() -> None:
        taking = asyncio.create_task(intake(limiter)._one(cast(AbstractQueue, queue)))
        assert await taking is False

    run(main())
    assert limiter.settled == 1
