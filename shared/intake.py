"""The consumer of a queue whose messages have a priority: as few in hand as keep it busy.

Whatever is in hand can no longer be overtaken. So a prefetch as large as the calls that may be in
flight defeats the priorities: the broker hands over as many messages at once, all share the
processor, and an urgent one comes after them. Here the room grows while it is used: it begins with
one message, and when all of it is taken a further consumer of the same channel opens more, one turn
of the loop later, until as many are in hand as may be. After a while in which little of it was used
it begins anew. While there is little to do, a message costs a delivery and an acknowledgement.

A message that needs a permit is not kept while it waits for one. If there is none, all consumers
are cancelled and it goes back to its place in the queue. From then on the permit comes first and
the message afterwards, with `basic.get`: whatever has the highest priority when the permit comes
goes, whichever replica has it. Once the queue is found empty there are consumers again.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from shared import metrics
from shared.bus import Bus
from shared.consumer import Delivery, Disposal, finish
from shared.errors import StoreUnavailable
from shared.limits import Limit, Limiter, Permit
from shared.link import SETTLE_TIMEOUT, TOLD_OF_THE_END, answer, settle
from shared.tasks import end
from shared.topology import Queue, declare_queue

log = logging.getLogger(__name__)

# Seconds after which to ask again while a permit is out: nobody tells that another process has
# given it back unused.
AGAIN_S: Final = 10.0
# Messages that one consumer more hands over at once, at most.
STEP: Final = 16
# Seconds for which a replica stands aside after it had no permit, from and to.
_ASIDE_S: Final = (0.02, 0.1)
# After so many permits without a wait, there are consumers again.
PLENTY: Final = 20
# Seconds over which the room has to be little used to be given up.
CALM_S: Final = 5.0

PermitHandler = Callable[[Any, Delivery, Permit], Awaitable[None]]


class Intake:
    """Takes one message for each permit, with at most `concurrency` in hand.

    Without a limit there is a permit for everybody.
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
        self._limiter, self._limit, self._concurrency = limiter, limit, concurrency
        # Messages in hand, and by consumer: how many it may have there, and how many it has.
        self._in_hand = 0
        self._room: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        # The most that were in hand lately, and when (the loop's time) to look at that.
        self._most, self._look_at = 0, 0.0
        # What got no permit, and how many just ask for one.
        self._denied: list[AbstractIncomingMessage] = []
        self._asking = 0
        # Permits that may have been granted, by an answer that got lost.
        self._doubtful: list[Permit] = []
        # Something has changed; a permit of ours came back unused; it ends.
        self._changed, self._returned = asyncio.Event(), asyncio.Event()
        self._stopping = asyncio.Event()
        # Permits in a row that came without a wait.
        self._at_once = 0
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._link = bus.link(f"take {queue.name}", self._setup)
        bus.owns(self)

    async def _setup(self, channel: AbstractChannel) -> None:
        await self._bus.declared()
        queue = await declare_queue(channel, self._queue)
        if self._loop is not None:
            await end([self._loop])
        # What was on the channel before is the broker's again.
        self._in_hand -= len(self._denied)
        for of_the_channel in (self._room, self._taken, self._denied):
            of_the_channel.clear()
        if not self._stopping.is_set():
            self._loop = asyncio.create_task(self._keep(channel, queue), name=queue.name)

    async def drain(self) -> None:
        """Take nothing more, and finish what is in hand."""
        self._stopping.set()
        self._changed.set()
        if self._loop is not None and self._link.is_up:
            # Not cancelled: to cancel a call to the broker closes the channel, and what is in hand
            # could not be answered any more.
            await asyncio.wait({self._loop}, timeout=SETTLE_TIMEOUT)
        await finish(self._running)
        if self._loop is not None:
            await end([self._loop])
        await self._give_back()

    async def _keep(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        """Until the channel ends: as much room as is used, and none while there is no permit."""
        try:
            while not self._stopping.is_set():
                self._changed.clear()
                if self._denied:
                    await self._close(queue)
                    await self._permits_first(queue)
                elif self._is_full() and not self._asking and (more := self._more()) > 0:
                    await self._open(channel, queue, more)
                elif self._is_calm():
                    await self._close(queue)
                else:
                    await self._wait()
            await self._close(queue)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("intake ends", extra={"queue": queue.name, "error": type(error).__name__})
            await settle(queue.channel.close)

    def _is_full(self) -> bool:
        return sum(self._taken.values()) >= sum(self._room.values())

    def _more(self) -> int:
        """How many more may be handed over at once: as many again, within bounds."""
        again = max(1, min(sum(self._room.values()), STEP))
        return min(again, self._concurrency - self._in_hand)

    async def _open(self, channel: AbstractChannel, queue: AbstractQueue, room: int) -> None:
        tag = uuid4().hex
        self._room[tag], self._taken[tag] = room, 0
        # Of a consumer: it holds for those that come after it.
        await channel.set_qos(prefetch_count=room)
        await queue.consume(self._on_message, consumer_tag=tag, arguments=TOLD_OF_THE_END)

    async def _close(self, queue: AbstractQueue) -> None:
        """Take nothing more, and give back what got no permit."""
        for tag in tuple(self._room):
            await queue.cancel(tag)
            del self._room[tag], self._taken[tag]
        denied, self._denied = self._denied, []
        self._in_hand -= len(denied)
        for incoming in denied:
            await answer(incoming, incoming.nack)

    async def _wait(self) -> None:
        """Until something changes, or it is time to look whether there is too much room."""
        left = self._look_at - asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), max(0.0, left))

    def _is_calm(self) -> bool:
        """Whether little of the room was used for a while: then it begins anew."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return False
        most, room = self._most, sum(self._room.values())
        self._look_at, self._most = now + CALM_S, self._in_hand
        return room > 1 and 2 * most < room

    async def _permits_first(self, queue: AbstractQueue) -> None:
        """Take one message for each permit, until there is none left, or permits are plenty."""
        # What went back may be with another replica by now: were it asked at once, each would find
        # the only permit in the hands of the other, for as long as they keep in step.
        self._returned.clear()
        await self._rest(random.uniform(*_ASIDE_S))  # noqa: S311
        self._at_once = 0
        while self._at_once < PLENTY and (permit := await self._permit()) is not None:
            try:
                # Without a timeout, which would be a cancellation, and that closes the channel.
                incoming = await queue.get(fail=False, timeout=None)
            except BaseException:
                await asyncio.shield(self._settle(permit))
                raise
            if incoming is None:
                await self._settle(permit)
                return
            self._start(incoming, permit)

    async def _permit(self) -> Permit | None:
        """A permit, and room for its message; None if this ends before."""
        began, pause = time.monotonic(), 0.2
        permit = self._doubtful.pop() if self._doubtful else Permit(self._limit)
        try:
            while not self._stopping.is_set():
                if self._in_hand >= self._concurrency:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                # Before the answer, so that what comes back while it is on its way is not missed.
                self._returned.clear()
                try:
                    wait = await self._limiter.acquire(permit, again=AGAIN_S)
                except StoreUnavailable:
                    wait, pause = pause, min(pause * 2, 5.0)
                if not wait:
                    self._count(began)
                    self._at_once += 1
                    await self._give_back()
                    return permit
                self._at_once = 0
                # Half a millisecond more than asked for: waking too early costs a round trip.
                await self._rest(wait + 0.0005)
        except BaseException:
            self._doubtful.append(permit)
            raise
        self._doubtful.append(permit)
        return None

    async def _give_back(self) -> None:
        """Settle what was perhaps granted: nothing will be called under it."""
        doubtful, self._doubtful = self._doubtful, []
        for permit in doubtful:
            await self._settle(permit)

    async def _rest(self, seconds: float) -> None:
        """Until then, or until a permit comes back unused: it is free at once, not only then.

        Without that, a run of cancelled lookups would cost as many permits as calls would.
        """
        events = [asyncio.ensure_future(event.wait()) for event in (self._returned, self._stopping)]
        try:
            await asyncio.wait(events, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()

    def _count(self, began: float) -> None:
        metrics.rate_limit_wait.labels(self._queue.name).observe(time.monotonic() - began)

    async def _on_message(self, incoming: AbstractIncomingMessage) -> None:
        self._start(incoming)

    def _start(self, incoming: AbstractIncomingMessage, permit: Permit | None = None) -> None:
        # aiormq cancels its own tasks with the connection, in the middle of a handler; these are
        # ours. The broker delivers again what they could not ack, and handlers are idempotent.
        tag = incoming.consumer_tag or ""
        self._in_hand += 1
        self._most = max(self._most, self._in_hand)
        if tag in self._taken:
            self._taken[tag] += 1
        task = asyncio.create_task(self._take(incoming, tag, permit))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        self._changed.set()

    async def _take(
        self, incoming: AbstractIncomingMessage, tag: str, permit: Permit | None
    ) -> None:
        if permit is None:
            permit = Permit(self._limit)
            if self._limit and not await self._is_granted(permit):
                await self._deny(incoming)
                return
            self._changed.set()
        try:
            await self._dispose(incoming, permit)
        finally:
            self._in_hand -= 1
            if tag in self._taken:
                self._taken[tag] -= 1
            self._changed.set()

    async def _deny(self, incoming: AbstractIncomingMessage) -> None:
        if self._room:
            # It would come to the same consumers again.
            self._denied.append(incoming)
        else:
            self._in_hand -= 1
            await answer(incoming, incoming.nack)
        self._changed.set()

    async def _is_granted(self, permit: Permit) -> bool:
        began = time.monotonic()
        self._asking += 1
        try:
            wait = await self._limiter.acquire(permit)
        except StoreUnavailable:
            self._doubtful.append(permit)
            return False
        except Exception:
            # Whoever asks next meets the same, and gives up the channel.
            log.exception("no permit", extra={"queue": self._queue.name})
            return False
        finally:
            self._asking -= 1
        if not wait:
            self._count(began)
        return not wait

    async def _dispose(self, incoming: AbstractIncomingMessage, permit: Permit) -> None:
        async def handler(message: Any, delivery: Delivery) -> None:
            await self._handler(message, delivery, permit)

        try:
            await Disposal(self._bus, self._queue, handler).see_through(incoming)
        finally:
            await self._settle(permit)
            if not permit.used:
                self._returned.set()

    async def _settle(self, permit: Permit) -> None:
        try:
            await self._limiter.settle(permit)
        except StoreUnavailable:
            # It expires by its lease, which is the safe side.
            log.warning("permit not settled", extra={"queue": self._queue.name})
