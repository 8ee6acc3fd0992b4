"""Connections to RabbitMQ, publishing and consuming.

With `topology` this is the one place that knows aio-pika. Its plain connections are used, not the
robust ones: a robust connection that cannot restore one queue stays down for ever, and it hides
when deliveries were lost. Here a `Link` owns one connection with one channel, and builds both
anew, from nothing, whenever either ends.

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
from typing import Any, Final
from uuid import uuid4

import aio_pika
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from msgspec import Struct

from shared import metrics
from shared.errors import BusUnavailable, Unavailable, Undecodable
from shared.messages import decode, encode
from shared.topology import DEAD, EVENTS, LOOKUPS, Queue, declare, delay_route

log = logging.getLogger(__name__)

ATTEMPT: Final = "x-attempt"
TRACE: Final = "traceparent"
MAX_ATTEMPTS: Final = 5
HEARTBEAT: Final = 15
CONFIRM_TIMEOUT: Final = 10.0
# Long enough for a provider's slowest answer, so that a stop rarely makes work twice.
DRAIN_TIMEOUT: Final = 15.0
# Events a listener may have waiting at the broker; the oldest go first.
MAX_BACKLOG: Final = 100_000
# Every way aio-pika says that the broker is not there.
_AWAY: Final = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)


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
Setup = Callable[[AbstractChannel], Awaitable[None]]
OnDead = Callable[[Queue, bytes, str, str], Awaitable[None]]


class Link:
    """One connection with one channel, set up again after every loss until it is closed."""

    def __init__(self, url: str, name: str, setup: Setup, *, confirms: bool = False) -> None:
        self._url, self._name, self._setup, self._confirms = url, name, setup, confirms
        self._channel: AbstractChannel | None = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect, and to keep connected."""
        self._task = asyncio.create_task(self._keep(), name=f"link {self._name}")

    async def close(self) -> None:
        """End the connection. Unacknowledged messages go back to their queues."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    async def channel(self, timeout: float | None = None) -> AbstractChannel:
        """The channel, once there is one.

        Raises:
            BusUnavailable: none within `timeout` seconds.
        """
        if self._channel is None or not self._up.is_set():
            try:
                await asyncio.wait_for(self._up.wait(), timeout)
            except TimeoutError:
                raise BusUnavailable("RabbitMQ is away") from None
        if self._channel is None:
            raise BusUnavailable("RabbitMQ is away")
        return self._channel

    async def _keep(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._connected()
                pause = 0.1
                log.warning("lost the connection to RabbitMQ", extra={"link": self._name})
            except _AWAY as error:
                # The error's text may hold the URL, and the URL holds a password.
                log.warning(
                    "no connection to RabbitMQ",
                    extra={"link": self._name, "error": type(error).__name__},
                )
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, 5.0)

    async def _connected(self) -> None:
        """One life of the connection: set up, then wait for its end."""
        connection = await aio_pika.connect(
            self._url,
            timeout=10,
            heartbeat=HEARTBEAT,
            client_properties={"connection_name": f"consulta {self._name}"},
        )
        async with connection:
            channel = await connection.channel(
                publisher_confirms=self._confirms, on_return_raises=self._confirms
            )
            await self._setup(channel)
            self._channel = channel
            self._up.set()
            try:
                await channel.closed()
            finally:
                self._up.clear()
                self._channel = None


class Bus:
    """A service's side of the bus: one link to publish, and one for each subscription."""

    def __init__(self, url: str, name: str, *, queues: tuple[Queue, ...] | None = None) -> None:
        self._url, self._name = url, name
        self._queues = queues
        self._publisher = Link(url, f"{name} publish", self._declare, confirms=True)
        self._consumers: list[Closable] = []
        self._links: list[Link] = []
        self._inspector: Link | None = None
        # Called before a message is buried, with its queue, body, task_id or "", and reason.
        self.on_dead: OnDead | None = None

    async def __aenter__(self) -> "Bus":
        self._publisher.open()
        return self

    async def drain(self) -> None:
        """Take no more messages, and finish those that were taken."""
        await asyncio.gather(*(consumer.drain() for consumer in self._consumers))

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
        await asyncio.gather(*(link.close() for link in self._links))
        await self._publisher.close()

    async def _declare(self, channel: AbstractChannel) -> None:
        await (declare(channel) if self._queues is None else declare(channel, self._queues))

    async def declared(self) -> None:
        """Wait until the queues exist: the publishing link declares them."""
        await self._publisher.channel()

    @property
    def is_up(self) -> bool:
        """Whether messages can be published and every subscription is alive."""
        return self._publisher.is_up and all(link.is_up for link in self._links)

    @property
    def can_publish(self) -> bool:
        return self._publisher.is_up

    def link(self, name: str, setup: Setup) -> Link:
        """A further connection, opened now and closed with the bus."""
        link = Link(self._url, f"{self._name} {name}", setup)
        self._links.append(link)
        link.open()
        return link

    def listen(
        self,
        pattern: str,
        on_event: Callable[[str, bytes], Awaitable[None]],
        on_gap: Callable[[], None],
    ) -> None:
        """Hear events without keeping any: what is missed stands in the logs.

        Args:
            pattern: binding on `events`, e.g. `billing.#`.
            on_event: gets the routing key and the body.
            on_gap: called whenever listening begins, so also after every loss.
        """

        async def setup(channel: AbstractChannel) -> None:
            await self.declared()
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments={"x-max-length": MAX_BACKLOG}
            )
            await queue.bind(EVENTS, pattern)

            async def on_message(incoming: AbstractIncomingMessage) -> None:
                await on_event(incoming.routing_key or "", incoming.body)

            await queue.consume(on_message, no_ack=True)
            on_gap()

        self.link("events", setup)

    def owns(self, consumer: "Closable") -> None:
        """Drain this consumer before the bus closes."""
        self._consumers.append(consumer)

    async def depths(self, names: list[str]) -> dict[str, int]:
        """Messages ready in each of these queues, which must exist.

        Raises:
            BusUnavailable: the broker does not answer.
        """
        if self._inspector is None:
            self._inspector = self.link("inspect", _nothing)
        channel = await self._inspector.channel(timeout=2.0)
        try:
            found = [await channel.declare_queue(name, passive=True) for name in names]
        except _AWAY as error:
            raise BusUnavailable(f"RabbitMQ did not answer ({type(error).__name__})") from None
        return {queue.name: queue.declaration_result.message_count or 0 for queue in found}

    async def command(
        self,
        queue: Queue,
        message: Struct,
        *,
        priority: int = 5,
        delay: float = 0,
        timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        """Put a message into a work queue, after `delay` seconds. Returns once it is stored.

        Raises:
            BusUnavailable: it may or may not have been stored.
        """
        exchange, key = delay_route(delay, queue.name) if delay > 0 else (LOOKUPS, queue.name)
        await self.publish(exchange, key, encode(message), priority=priority, timeout=timeout)

    async def event(self, key: str, body: bytes) -> None:
        """Publish one event. Nobody may be listening: its place is the log, this is the news."""
        await self.publish(EVENTS, key, body, mandatory=False)

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        priority: int = 5,
        headers: HeadersType | None = None,
        mandatory: bool = True,
        timeout: float = CONFIRM_TIMEOUT,
    ) -> None:
        """Publish a persistent message and wait for the broker's confirm.

        Raises:
            BusUnavailable: not confirmed within `timeout` seconds, refused, or no queue took it.
        """
        channel = await self._publisher.channel(timeout)
        message = Message(
            body,
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            priority=priority,
            # Returns are matched by it, so each attempt needs one of its own.
            message_id=uuid4().hex,
            headers=headers or {},
        )
        try:
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(message, key, mandatory=mandatory, timeout=timeout)
        except _AWAY as error:
            raise BusUnavailable(f"RabbitMQ did not confirm ({type(error).__name__})") from None

    async def dispose(
        self, queue: Queue, incoming: AbstractIncomingMessage, handler: Handler
    ) -> None:
        """See one message through to its ack, however long an outage of ours takes."""
        pause = 0.2
        while True:
            try:
                await self._handle(queue, incoming, handler)
                break
            except Unavailable as error:
                log.warning("waiting", extra={"queue": queue.name, "error": str(error)})
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, 5.0)
        await settle(incoming.ack)

    async def _handle(
        self, queue: Queue, incoming: AbstractIncomingMessage, handler: Handler
    ) -> None:
        delivery = Delivery(
            queue=queue,
            attempt=_attempt(incoming.headers),
            priority=min(incoming.priority or 0, 10),
            headers=incoming.headers,
        )
        try:
            await handler(decode(incoming.body, queue.message), delivery)
        except Unavailable:
            raise
        except Undecodable as error:
            await self.bury(queue, incoming, str(error), task=error.task)
        except Exception as error:
            log.exception("a handler failed", extra={"queue": queue.name})
            if delivery.last:
                await self.bury(queue, incoming, repr(error), trace=traceback.format_exc())
            else:
                await self._again(queue, incoming, delivery.attempt)

    async def _again(self, queue: Queue, incoming: AbstractIncomingMessage, attempt: int) -> None:
        exchange, key = delay_route(2 ** (attempt - 1), queue.name)
        # Headers are made afresh: a message that carries an x-death from its last journey is
        # confirmed and then dropped as a cycle by RabbitMQ before 4.0.1.
        headers: HeadersType = {ATTEMPT: attempt + 1}
        if TRACE in incoming.headers:
            headers[TRACE] = incoming.headers[TRACE]
        priority = min(incoming.priority or 0, 10)
        await self.publish(exchange, key, incoming.body, priority=priority, headers=headers)

    async def bury(
        self,
        queue: Queue,
        incoming: AbstractIncomingMessage,
        reason: str,
        *,
        trace: str = "",
        task: str | None = None,
    ) -> None:
        """Keep a message that cannot be handled in its dead queue, with the reason."""
        if self.on_dead is not None:
            await self.on_dead(queue, incoming.body, task or "", reason)
        headers: HeadersType = {
            "x-reason": reason[:500],
            "x-queue": queue.name,
            ATTEMPT: _attempt(incoming.headers),
        }
        if trace:
            headers["x-traceback"] = trace[-4000:]
        await self.publish(DEAD, queue.dead, incoming.body, headers=headers)
        metrics.dead_letters.labels(queue.name).inc()
        log.error("buried a message", extra={"queue": queue.name, "reason": reason[:500]})


class Closable:
    """Something that takes messages and can stop taking them."""

    async def drain(self) -> None:
        """Take no more, and finish what was taken."""
        raise NotImplementedError


class Consumer(Closable):
    """Takes messages as they come, `prefetch` at a time, for queues without a rate limit."""

    def __init__(self, bus: Bus, queue: Queue, handler: Handler, *, prefetch: int = 50) -> None:
        self._bus, self._queue, self._handler, self._prefetch = bus, queue, handler, prefetch
        self._running: set[asyncio.Task[None]] = set()
        self._cancel: Callable[[], Awaitable[object]] | None = None
        self._link = bus.link(f"consume {queue.name}", self._setup)
        bus.owns(self)

    async def _setup(self, channel: AbstractChannel) -> None:
        await self._bus.declared()
        await channel.set_qos(prefetch_count=self._prefetch)
        queue = await channel.get_queue(self._queue.name, ensure=False)
        tag = await queue.consume(self._on_message)
        self._cancel = lambda: queue.cancel(tag)

    async def _on_message(self, incoming: AbstractIncomingMessage) -> None:
        # aiormq cancels its own tasks with the connection, in the middle of a handler; these
        # are ours. The broker delivers again what they could not ack, and handlers are idempotent.
        task = asyncio.create_task(self._bus.dispose(self._queue, incoming, self._handler))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        if self._cancel is not None and self._link.is_up:
            await settle(self._cancel)
        await finish(self._running)


async def finish(running: set[asyncio.Task[None]]) -> None:
    """Let handlers end, and cancel those that take too long: their messages come back."""
    if running:
        _, late = await asyncio.wait(running, timeout=DRAIN_TIMEOUT)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def settle(action: Callable[[], Awaitable[object]]) -> None:
    """Ack, nack or cancel on a channel that may be gone; then the broker has done it for us."""
    try:
        await action()
    except (*_AWAY, ChannelInvalidStateError) as error:
        log.info("too late for the channel", extra={"error": type(error).__name__})


def _attempt(headers: HeadersType) -> int:
    attempt = headers.get(ATTEMPT, 1)
    # Anybody may publish, so the header may hold anything.
    return attempt if isinstance(attempt, int) and 1 <= attempt <= MAX_ATTEMPTS else 1


async def _nothing(_: AbstractChannel) -> None:
    """The setup of a link that only asks."""
