"""A service's side of the bus: what it publishes, what it hears, and who consumes for it.

With `link`, `consumer`, `intake`, `topology`, `dead_queues` and `refusals` this is all that knows
aio-pika.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType
from aio_pika.exceptions import PublishError
from msgspec import Struct
from pamqp.commands import Basic

from shared.confirms import Confirms
from shared.courier import Courier, News, hear
from shared.domain.trace import TRACE, carried
from shared.errors import BusRefused, BusUnavailable
from shared.inspector import Inspector
from shared.link import Link, Setup, publish, settle
from shared.messages import encode
from shared.refusals import Door, is_lost, reason
from shared.tasks import is_cancelled
from shared.topology import EVENTS, LOOKUPS, Queue, declare, delay_route

log = logging.getLogger(__name__)

CONFIRM_TIMEOUT: Final = 10.0
_PERSISTENT: Final = 2
# Events a listener may have waiting at the broker; the oldest go first.
MAX_BACKLOG: Final = 100_000
# Seconds from one declaration after a message came back to the next.
DECLARE_AGAIN_S: Final = 5.0

OnDead = Callable[[Queue, bytes, str, str], Awaitable[None]]


class Drains(Protocol):
    """Something that takes messages, and can stop taking them and finish what it took."""

    async def drain(self) -> None: ...


class Bus:
    """A service's side of the bus: one link to publish, and one for each subscription."""

    def __init__(self, url: str, name: str, *, queues: tuple[Queue, ...] | None = None) -> None:
        self._url, self._name = url, name
        self._queues = queues
        self._refusal: BusRefused | None = None
        self._refused = asyncio.Event()
        self._door = Door()
        self._publisher = self._link("publish", self._declare, confirms=True)
        self._inspector = Inspector(self._link("inspect", _nothing))
        self._courier = Courier(self._publisher)
        # By what name others send news here, and what is done with it.
        self._me = ""
        self._on_news: Callable[[News], None] = _ignore
        self._confirms = Confirms()
        # When everything may be declared again, by the loop's clock.
        self._next_declaration = 0.0
        self._consumers: list[Drains] = []
        self._links: list[Link] = []
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
        await self._courier.close()
        await asyncio.gather(self._publisher.close(), self._inspector.close())

    async def _declare(self, channel: AbstractChannel) -> None:
        await (declare(channel) if self._queues is None else declare(channel, self._queues))

    async def declared(self, timeout: float | None = None) -> None:
        """Wait until the queues exist: the publishing link declares them.

        Raises:
            BusUnavailable: it has no connection within `timeout` seconds.
            BusRefused: and never will.
        """
        await self._publisher.channel(timeout)

    @property
    def is_up(self) -> bool:
        """Whether messages can be published and every subscription is alive."""
        return self._publisher.is_up and all(link.is_up for link in self._links)

    @property
    def is_connected(self) -> bool:
        """Whether messages can be published."""
        return self._publisher.is_up

    @property
    def unconfirmed(self) -> int:
        """How many messages are before one that is published now."""
        return self._confirms.count

    @property
    def trouble(self) -> str:
        """Why it is not up, in a few words: of the first link that could tell. Empty if it is."""
        links = (self._publisher, *self._links)
        return next((link.trouble for link in links if link.trouble and not link.is_up), "")

    async def refusal(self) -> BusRefused:
        """Wait until RabbitMQ refuses something for good; give it. Nothing will mend it here."""
        await self._refused.wait()
        return BusRefused(str(self._refusal))

    def _refuse(self, error: BusRefused) -> None:
        self._refusal = self._refusal or error
        self._refused.set()

    def _link(self, name: str, setup: Setup, *, confirms: bool = False) -> Link:
        return Link(
            self._url,
            f"{self._name} {name}",
            setup,
            confirms=confirms,
            on_refused=self._refuse,
            door=self._door,
        )

    def link(self, name: str, setup: Setup) -> Link:
        """A further connection, opened now and closed with the bus."""
        link = self._link(name, setup)
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

    def hear_news(self, on_news: Callable[[News], None], on_gap: Callable[[str], None]) -> None:
        """Hear the news that are for this process.

        Args:
            on_news: gets each piece.
            on_gap: called whenever listening begins, so also after every loss, with the name that
                news is to be sent to from now on.
        """

        async def setup(channel: AbstractChannel) -> None:
            # A new one each time: of a connection that died without a word, the broker keeps the
            # queue for a while yet.
            name = uuid4().hex[:12]
            await hear(channel, name, on_news, MAX_BACKLOG)
            self._me = name
            on_gap(name)

        self._on_news = on_news
        self.link("events", setup)

    def news(self, listener: str, piece: News) -> None:
        """Send a piece of news to a process that listens, with what else there is for it.

        It may be lost: its place is the log.
        """
        if listener == self._me:
            # What a process has to say to itself goes over no wire.
            self._on_news(piece)
        else:
            self._courier.send(listener, piece)

    def owns(self, consumer: "Drains") -> None:
        """Drain this consumer before the bus closes."""
        self._consumers.append(consumer)

    async def depths(self, names: list[str]) -> dict[str, int]:
        """Messages ready in each of these queues; 0 in one that does not exist.

        Raises:
            BusUnavailable: the broker does not answer.
        """
        return await self._inspector.depths(names)

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

        It carries on the trace of whatever is being handled, unless `headers` have one.

        Raises:
            BusUnavailable: refused, no queue took it, or not confirmed while the broker confirmed
                nothing else for `timeout` seconds either.
            BusRefused: and it never will be.
        """
        channel = await self._publisher.channel(timeout)
        properties = Basic.Properties(
            content_type="application/json",
            delivery_mode=_PERSISTENT,
            priority=priority,
            # Returns are matched by it, so each attempt needs one of its own.
            message_id=uuid4().hex,
            headers={**({TRACE: trace} if (trace := carried()) else {}), **(headers or {})},
        )
        try:
            async with self._confirms.awaited(timeout):
                await publish(channel, exchange, key, body, properties, mandatory=mandatory)
        except (Exception, asyncio.CancelledError) as error:
            # A connection that ends cancels what waits on it, though nobody wants it cancelled.
            if is_cancelled() or not is_lost(error, channel):
                raise
            if isinstance(error, PublishError):
                await self._declare_again()
                raise BusUnavailable(f"no queue took a message to {exchange}") from None
            raise BusUnavailable(f"RabbitMQ did not confirm ({type(error).__name__})") from None

    async def _declare_again(self) -> None:
        """Make anew what was deleted, for whoever tries again: no dead queue and no delay has a
        consumer that would notice. Beside what is published, since a refusal closes the channel.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next_declaration:
            return
        self._next_declaration = now + DECLARE_AGAIN_S
        try:
            channel = await self._publisher.further(CONFIRM_TIMEOUT)
            try:
                await self._declare(channel)
            finally:
                await settle(channel.close)
        except (Exception, asyncio.CancelledError) as error:
            # The connection may end meanwhile as well, in any exception at all.
            if is_cancelled():
                raise
            log.warning("could not declare again: %s", reason(error))


def _ignore(_: News) -> None:
    """The news of a process that does not listen for any."""


async def _nothing(_: AbstractChannel) -> None:
    """The setup of a link that only asks."""
