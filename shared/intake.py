"""The consumer of a queue whose messages have a priority: a permit and a slot before a message.

A consumer that takes a message and then waits for a permit defeats the queue's priorities, since
what it holds can no longer be overtaken. So this one waits first and takes afterwards, with
`basic.get`: whatever has the highest priority at that moment goes. While the queue is empty a
consumer with a prefetch of one serves as the doorbell, so that idling costs no polling.

It is the same without a limit. A prefetch as large as the calls that may be in flight has the
broker hand over as many messages at once: none waits for its turn, but all share the processor, and
an urgent one comes after them. Taken one by one, no more are in hand than the loop keeps up with.
Measured on two cores (others used them too; two runs), with handlers of four trips to Redis, 1.2 ms
of processor time and then a wait: messages a second, and after how many ms an urgent one was done.

    wait      prefetch 20        prefetch 50        prefetch 200       one by one, up to 200
    0 ms      533-555   40-43    560-637   82-88    343-604  323-530   272-501   12-16
    20 ms     243-314   66-83    359-412  110-144   353-420  447-551   256-369   32-49
    500 ms         27  802-806    68-79   592-646   272-299  537-563   222-316  514-520
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from shared import metrics
from shared.bus import Bus
from shared.consumer import Delivery, Disposal, finish
from shared.errors import StoreUnavailable
from shared.limits import Limit, Limiter, Permit
from shared.link import answer, settle
from shared.tasks import end
from shared.topology import Queue, declare_queue

log = logging.getLogger(__name__)

# Seconds after which to ask again while a permit is out: nobody tells that another process has
# given it back unused.
AGAIN_S: Final = 10.0

PermitHandler = Callable[[Any, Delivery, Permit], Awaitable[None]]


class Intake:
    """Takes one message for each permit, with at most `concurrency` in hand.

    Without a limit there is a permit for everybody, and what counts is the slot.
    """

    def __init__(
        self,
        bus: Bus,
        queue: Queue,
        handler: PermitHandler,
        *,
        limiter: Limiter,
        limit: Limit,
        concurrency: int = 50,
    ) -> None:
        self._bus, self._queue, self._handler = bus, queue, handler
        self._limiter, self._limit = limiter, limit
        self._slots = asyncio.Semaphore(concurrency)
        # A permit of ours came back unused.
        self._returned = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False
        self._link = bus.link(f"take {queue.name}", self._setup)
        bus.owns(self)

    async def _setup(self, channel: AbstractChannel) -> None:
        await self._bus.declared()
        await channel.set_qos(prefetch_count=1)
        queue = await declare_queue(channel, self._queue)
        await self._end_loop()
        if not self._stopping:
            self._loop = asyncio.create_task(self._take(queue), name=f"intake {self._queue.name}")

    async def drain(self) -> None:
        self._stopping = True
        await self._end_loop()
        await finish(self._running)

    async def _end_loop(self) -> None:
        if self._loop is not None:
            await end([self._loop])

    async def _take(self, queue: AbstractQueue) -> None:
        """Until the channel ends: wait for work, then for a permit, then take what is first."""
        try:
            while True:
                await self._doorbell(queue)
                while await self._one(queue):
                    pass
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("intake ends", extra={"queue": queue.name, "error": type(error).__name__})
            await settle(queue.channel.close)

    async def _doorbell(self, queue: AbstractQueue) -> None:
        """Return when there is a message, which keeps its place in the queue if it has to wait."""
        rang: _Rang = asyncio.get_running_loop().create_future()

        def stop() -> None:
            if not rang.done():
                rang.set_result(None)

        incoming = await _whole(_first(queue, rang), stop)
        if incoming is None:
            return
        if self._limit:
            await asyncio.shield(answer(incoming, incoming.nack))
        else:
            # Nothing to wait for, not even a slot: there was one, and nobody else takes any.
            await self._slots.acquire()
            self._start(incoming, Permit(self._limit, ""))

    async def _one(self, queue: AbstractQueue) -> bool:
        """Take one message under one permit; False if there was none."""
        await self._slots.acquire()
        permit = None
        try:
            permit = await self._permit()
            incoming = await _get(queue)
        except BaseException:
            self._slots.release()
            if permit is not None:
                await asyncio.shield(self._settle(permit))
            raise
        if incoming is None:
            self._slots.release()
            await self._settle(permit)
            return False
        self._start(incoming, permit)
        return True

    def _start(self, incoming: AbstractIncomingMessage, permit: Permit) -> None:
        task = asyncio.create_task(self._dispose(incoming, permit))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _permit(self) -> Permit:
        permit = Permit(self._limit)
        if not self._limit:
            return permit
        began = time.monotonic()
        pause = 0.2
        while True:
            # Before the answer, so that what comes back while it is on its way is not missed.
            self._returned.clear()
            try:
                wait = await self._limiter.acquire(permit, again=AGAIN_S)
            except StoreUnavailable:
                wait, pause = pause, min(pause * 2, 5.0)
            if not wait:
                metrics.rate_limit_wait.labels(self._queue.name).observe(time.monotonic() - began)
                return permit
            # Half a millisecond more than asked for: waking too early costs a round trip.
            await self._wait(wait + 0.0005)

    async def _wait(self, seconds: float) -> None:
        """Until then, or until a permit comes back unused: it is free at once, not only then.

        Without this, a run of cancelled lookups would cost as many permits as calls would.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._returned.wait(), seconds)

    async def _dispose(self, incoming: AbstractIncomingMessage, permit: Permit) -> None:
        async def handler(message: Any, delivery: Delivery) -> None:
            await self._handler(message, delivery, permit)

        try:
            await Disposal(self._bus, self._queue, handler).see_through(incoming)
        finally:
            self._slots.release()
            await self._settle(permit)
            if not permit.used:
                self._returned.set()

    async def _settle(self, permit: Permit) -> None:
        try:
            await self._limiter.settle(permit)
        except StoreUnavailable:
            # It expires by its lease, which is the safe side.
            log.warning("permit not settled", extra={"queue": self._queue.name})


_Rang = asyncio.Future[AbstractIncomingMessage | None]


async def _first(queue: AbstractQueue, rang: _Rang) -> AbstractIncomingMessage | None:
    """Consume until a message comes, or None is put into `rang` instead."""

    async def ring(incoming: AbstractIncomingMessage) -> None:
        if rang.done():
            # Too late: nobody waits for it here any more, but others may.
            await answer(incoming, incoming.nack)
        else:
            rang.set_result(incoming)

    tag = await queue.consume(ring)
    incoming = await rang
    # In this order: with the prefetch used up, nothing more can come while it is cancelled.
    await settle(partial(queue.cancel, tag))
    return incoming


def _get(queue: AbstractQueue) -> Awaitable[AbstractIncomingMessage | None]:
    """The first message, if there is one. Without a timeout, which would be a cancellation."""
    return _whole(queue.get(fail=False, timeout=None))


async def _whole(
    getting: Coroutine[Any, Any, AbstractIncomingMessage | None],
    stop: Callable[[], None] = lambda: None,
) -> AbstractIncomingMessage | None:
    """A message. To cancel a call to the broker closes the channel, and what is in hand could not
    be answered any more: so it is let come, and given back.

    Args:
        stop: has it come soon, perhaps without a message.
    """
    task = asyncio.create_task(getting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        if (incoming := await task) is not None:
            await answer(incoming, incoming.nack)
        raise
