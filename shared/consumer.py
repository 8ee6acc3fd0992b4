"""Consuming from a work queue.

The rule every consumer keeps is: effect, then publish with confirm, then ack. A handler that
meets an outage of ours holds its message and does it again; one that fails otherwise is tried
again through the delay queues, and in the end its message is buried with the reason.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType

from shared import metrics
from shared.bus import Bus
from shared.domain.lifetime import DRAIN_S
from shared.domain.trace import TRACE, carrying
from shared.errors import Unavailable, Undecodable
from shared.link import (
    LONGEST_PAUSE,
    TOLD_OF_THE_END,
    acknowledge,
    answer,
    has_channel,
    settle,
)
from shared.messages import decode, now
from shared.tasks import end, is_cancelled
from shared.topology import DEAD, MAX_PRIORITY, Queue, declare_queue, delay_route

log = logging.getLogger(__name__)

ATTEMPT: Final = "x-attempt"
MAX_ATTEMPTS: Final = 5
# Seconds for which a message is held for something to wait for; beyond, it makes room for others.
IN_HAND: Final = 3.0
# Seconds for which a message is put off at a time: what it waits for may come sooner.
LONGEST_REST: Final = 60.0


@dataclass(frozen=True)
class Delivery:
    """What a handler may want to know of its message beside the body."""

    queue: Queue
    attempt: int
    priority: int
    headers: HeadersType = field(default_factory=dict)

    @property
    def last(self) -> bool:
        """Whether a failure now buries the message."""
        return self.attempt >= MAX_ATTEMPTS


Handler = Callable[[Any, Delivery], Awaitable[None]]
# What is to be done with a message; it gives what is to be done next, or None for the ack.
Step = Callable[[AbstractIncomingMessage], Awaitable["Step | None"]]


class PutOff(Exception):
    """Raised by a handler whose message has to wait for longer than anybody should hold it.

    It comes back to its queue about `seconds` later, or sooner, as `body` where that is given, and
    waits there by its priority.
    """

    def __init__(
        self, seconds: float, body: bytes | None = None, *, priority: int | None = None
    ) -> None:
        super().__init__(f"put off for {seconds:.1f} s")
        self.seconds, self.body, self.priority = seconds, body, priority


class Disposal:
    """What becomes of a queue's messages."""

    def __init__(self, bus: Bus, queue: Queue, handler: Handler) -> None:
        self._bus, self._queue, self._handler = bus, queue, handler

    async def see_through(self, incoming: AbstractIncomingMessage) -> None:
        """See one message through to its ack, however long an outage of ours takes.

        Whatever cannot be brought so far is delivered again.
        """
        try:
            with carrying(incoming.headers.get(TRACE)):
                done = await self._all_steps(incoming)
            if done:
                await answer(incoming, partial(acknowledge, incoming))
        except (Exception, asyncio.CancelledError):
            # A CancelledError that nobody asked for is some other task's.
            if is_cancelled():
                raise
            log.exception("a message could not be disposed of", extra={"queue": self._queue.name})
            await asyncio.sleep(LONGEST_PAUSE)
            await answer(incoming, incoming.nack)

    async def _all_steps(self, incoming: AbstractIncomingMessage) -> bool:
        """False if the channel went: then the message is delivered again, perhaps to another."""
        step: Step | None = self._handle
        pause = 0.2
        while step is not None:
            try:
                step, pause = await step(incoming), 0.2
            except Unavailable as error:
                log.warning("waiting", extra={"queue": self._queue.name, "error": str(error)})
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE)
                if not has_channel(incoming):
                    return False
        return True

    async def _handle(self, incoming: AbstractIncomingMessage) -> Step | None:
        delivery = Delivery(
            queue=self._queue,
            attempt=_attempt(incoming.headers),
            priority=min(incoming.priority or 0, 10),
            headers=incoming.headers,
        )
        try:
            await self._handler(decode(incoming.body, self._queue.message), delivery)
        except Unavailable:
            raise
        except PutOff as later:
            return partial(self._put_off, later)
        except Undecodable as error:
            return self._burial(str(error), task=error.task)
        except (Exception, asyncio.CancelledError) as error:
            # A CancelledError that nobody asked for is some other task's.
            if is_cancelled():
                raise
            log.exception("a handler failed", extra={"queue": self._queue.name})
            if delivery.last:
                # Not its repr: of redis-py's errors that is a class and no more.
                reason = "".join(traceback.format_exception_only(error)).strip()
                return self._burial(reason, trace=traceback.format_exc())
            return partial(self._again, attempt=delivery.attempt)
        return None

    async def _again(self, incoming: AbstractIncomingMessage, attempt: int) -> None:
        priority = min(incoming.priority or 0, 10)
        delay = 2 ** (attempt - 1)
        await self._later(incoming.body, delay, attempt=attempt + 1, priority=priority)

    async def _put_off(self, later: PutOff, incoming: AbstractIncomingMessage) -> None:
        priority = min(incoming.priority or 0, 10) if later.priority is None else later.priority
        # What waits for the same is to be taken by priority, and delays are of whole seconds: so
        # five levels of priority are one of them.
        delay = min(later.seconds, LONGEST_REST) + (MAX_PRIORITY - priority) / 5
        body = incoming.body if later.body is None else later.body
        attempt = _attempt(incoming.headers)
        await self._later(body, delay, attempt=attempt, priority=priority)

    async def _later(self, body: bytes, delay: float, *, attempt: int, priority: int) -> None:
        exchange, key = delay_route(delay, self._queue.name)
        # Headers are made afresh: a message that carries an x-death from its last journey is
        # confirmed and then dropped as a cycle by RabbitMQ before 4.0.1.
        headers: HeadersType = {ATTEMPT: attempt}
        await self._bus.publish(exchange, key, body, priority=priority, headers=headers)

    def _burial(self, reason: str, *, trace: str = "", task: str | None = None) -> Step:
        """Keep a message that cannot be handled in its dead queue, and announce it first."""

        async def announce(incoming: AbstractIncomingMessage) -> Step:
            if self._bus.on_dead is not None:
                try:
                    await self._bus.on_dead(self._queue, incoming.body, task or "", reason)
                except Unavailable:
                    raise
                except (Exception, asyncio.CancelledError):
                    if is_cancelled():
                        raise
                    log.exception("a death was not announced", extra={"queue": self._queue.name})
            return partial(self._bury, reason=reason, trace=trace)

        return announce

    async def _bury(self, incoming: AbstractIncomingMessage, reason: str, trace: str) -> None:
        headers: HeadersType = {
            "x-reason": _text(reason[:500]),
            "x-queue": self._queue.name,
            "x-died-at": now(),
            ATTEMPT: _attempt(incoming.headers),
        }
        if trace:
            headers["x-traceback"] = _text(trace[-4000:])
        priority = min(incoming.priority or 0, 10)
        await self._bus.publish(
            DEAD, self._queue.dead, incoming.body, priority=priority, headers=headers
        )
        metrics.dead_letters.labels(self._queue.name).inc()
        log.error("buried a message", extra={"queue": self._queue.name, "reason": reason[:500]})


class Consumer:
    """Takes messages as they come, `prefetch` at a time, for handlers that hardly wait.

    Each is handled at once, so none waits here; but they share the processor, and what is in hand
    is not overtaken. More than 20 at a time adds little (measured: see `intake`), and an urgent
    message comes after them all.
    """

    def __init__(self, bus: Bus, queue: Queue, handler: Handler, *, prefetch: int = 20) -> None:
        self._bus, self._queue, self._prefetch = bus, queue, prefetch
        self._disposal = Disposal(bus, queue, handler)
        self._running: set[asyncio.Task[None]] = set()
        self._cancel: Callable[[], Awaitable[object]] | None = None
        self._link = bus.link(f"consume {queue.name}", self._setup)
        bus.owns(self)

    async def _setup(self, channel: AbstractChannel) -> None:
        await self._bus.declared()
        await channel.set_qos(prefetch_count=self._prefetch)
        queue = await declare_queue(channel, self._queue)
        tag = await queue.consume(self._on_message, arguments=TOLD_OF_THE_END)
        self._cancel = lambda: queue.cancel(tag)

    async def _on_message(self, incoming: AbstractIncomingMessage) -> None:
        # aiormq cancels its own tasks with the connection, in the middle of a handler; these
        # are ours. The broker delivers again what they could not ack, and handlers are idempotent.
        task = asyncio.create_task(self._disposal.see_through(incoming))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        if self._cancel is not None and self._link.is_up:
            await settle(self._cancel)
        await finish(self._running)


async def finish(running: set[asyncio.Task[None]]) -> None:
    """Let handlers end, and cancel those that take too long: their messages come back."""
    if running:
        _, late = await asyncio.wait(running, timeout=DRAIN_S)
        await end(late)


def _attempt(headers: HeadersType) -> int:
    attempt = headers.get(ATTEMPT, 1)
    # Anybody may publish, so the header may hold anything.
    return attempt if isinstance(attempt, int) and 1 <= attempt <= MAX_ATTEMPTS else 1


def _text(text: str) -> str:
    """What may stand in a header: an error's text may hold half of a surrogate pair."""
    return text.encode(errors="replace").decode()
