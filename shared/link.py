"""A connection to RabbitMQ that is made again whenever it is lost.

aio-pika's plain connections are used, not the robust ones: a robust connection that cannot
restore one queue stays down for ever, and it hides when deliveries were lost. A `Link` owns one
connection with one channel, and builds both anew, from nothing, whenever either ends, and when
the broker takes a consumer off a queue that is gone.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError
from aiormq import Channel as Underlay
from aiormq.exceptions import AMQPChannelError, ChannelAccessRefused
from pamqp.commands import Basic

from shared.errors import BusRefused, BusUnavailable
from shared.refusals import AWAY, Door, reason, refusal
from shared.tasks import is_cancelled

log = logging.getLogger(__name__)

HEARTBEAT: Final = 15
LONGEST_PAUSE: Final = 2.0
SETTLE_TIMEOUT: Final = 10.0
# Messages of a channel that may wait for their confirm, and lie in memory if the broker is stuck.
UNCONFIRMED: Final = 1000

Setup = Callable[[AbstractChannel], Awaitable[None]]


class Link:
    """One connection with one channel, set up again after every loss until it is closed.

    Args:
        setup: makes of a fresh channel what it is for. What RabbitMQ refuses in it for good ends
            the link; whatever else fails in it is tried again.
        on_refused: called once, when the link has ended so.
        door: shared by the links of a process to the same broker.
    """

    def __init__(
        self,
        url: str,
        name: str,
        setup: Setup,
        *,
        confirms: bool = False,
        on_refused: Callable[[BusRefused], None] | None = None,
        door: Door | None = None,
    ) -> None:
        self._url, self._name, self._setup, self._confirms = url, name, setup, confirms
        self._on_refused, self._door = on_refused, door or Door()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._refusal: BusRefused | None = None
        # There is a channel, or never will be.
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Why there is no channel, after the first try.
        self.trouble = ""

    def open(self) -> None:
        """Begin to connect, and to keep connected."""
        self._task = asyncio.create_task(self._keep(), name=f"link {self._name}")

    async def close(self) -> None:
        """End the connection. Unacknowledged messages go back to their queues."""
        # While it connects, aiormq swallows a cancellation now and then: once is not enough.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=0.5)

    @property
    def is_up(self) -> bool:
        return self._channel is not None

    async def channel(self, timeout: float | None = None) -> AbstractChannel:
        """The channel, once there is one.

        Raises:
            BusUnavailable: none within `timeout` seconds.
            BusRefused: there will be none.
        """
        if self._channel is None:
            try:
                await asyncio.wait_for(self._known.wait(), timeout)
            except TimeoutError:
                raise BusUnavailable("RabbitMQ is away") from None
        if self._refusal is not None:
            raise BusRefused(str(self._refusal))
        if self._channel is None:
            raise BusUnavailable("RabbitMQ is away")
        return self._channel

    async def further(self, timeout: float | None = None) -> AbstractChannel:
        """A channel beside the link's own, for what may close it. Whoever asked for it closes it.

        Raises:
            BusUnavailable: none within `timeout` seconds.
            BusRefused: there will be none.
            ConnectionError: the connection ended just now.
        """
        await self.channel(timeout)
        if self._connection is None:
            raise BusUnavailable("RabbitMQ is away")
        return await _channel(self._connection, confirms=False)

    async def _keep(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._connected()
                pause = 0.1
            except (Exception, asyncio.CancelledError) as error:
                # A connection that ends during the set-up has aiormq raise CancelledError, though
                # nobody cancelled anything: taken at its word, this link would be down for ever.
                if is_cancelled():
                    raise
                refused = refusal(error, self._url)
                if refused is not None and self._door.is_for_good(error):
                    self._refuse(refused)
                    return
                self._tell(refused or error)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)

    def _refuse(self, refused: BusRefused) -> None:
        self._refusal, self.trouble = refused, str(refused)
        self._known.set()
        if self._on_refused is not None:
            self._on_refused(refused)

    def _tell(self, error: BaseException) -> None:
        """Remember why there is no connection. Whoever watches the bus tells it, for all links."""
        self.trouble = reason(error)
        if isinstance(error, (*AWAY, BusRefused, asyncio.CancelledError)):
            log.debug("no connection", extra={"link": self._name, "error": self.trouble})
        else:
            log.error("a set-up failed", extra={"link": self._name}, exc_info=error)

    async def _connected(self) -> None:
        """One life of the connection: set up, then wait for its end."""
        connection = await aio_pika.connect(
            self._url,
            timeout=10,
            heartbeat=HEARTBEAT,
            client_properties={"connection_name": f"consulta {self._name}"},
        )
        self._door.opened()
        async with connection:
            channel = await _channel(connection, confirms=self._confirms)
            ended: asyncio.Future[BaseException | None] = asyncio.Future()

            def end(error: BaseException | None) -> None:
                if not ended.done():
                    self._channel = None
                    self._known.clear()
                    ended.set_result(error)

            channel.close_callbacks.add(lambda _, error: end(error))
            # A consumer whose queue is gone hears no more, on a channel that is as good as ever.
            underlay = await channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(lambda _: end(_GONE))
            try:
                await self._setup(channel)
                if not ended.done():
                    self._connection, self._channel, self.trouble = connection, channel, ""
                    self._known.set()
                self._tell_end(await ended)
            finally:
                end(None)

    def _tell_end(self, error: BaseException | None) -> None:
        if isinstance(error, ChannelAccessRefused):
            raise error
        self.trouble = reason(error) if error is not None else "the connection was closed"
        # Of a lost connection each link hears, and `trouble` is enough; a channel that alone
        # ended has a reason of its own.
        level = logging.WARNING if isinstance(error, AMQPChannelError) else logging.DEBUG
        log.log(level, "lost", extra={"link": self._name, "error": self.trouble})


# What a consumer of a queue that others may delete asks for. RabbitMQ before 4 moves it, without a
# word, to a queue of the same name that was made before its channel heard of the end of the first,
# and then loses what that one delivers: nobody has it, and it comes to nobody else. With this, it
# always says that the queue is gone; RabbitMQ 4 always does.
TOLD_OF_THE_END: Final[dict[str, Any]] = {"x-cancel-on-ha-failover": True}

_GONE: Final = AMQPChannelError("its queue was deleted, or the queue's node was lost")


async def _channel(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    try:
        return await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    except RuntimeError as error:
        # So, and in no class of its own, aiormq says that the connection has ended meanwhile.
        raise ConnectionError("the connection ended") from error


async def knock(url: str, seconds: float) -> None:
    """Connect once, and leave: whether it can be done.

    Raises:
        BusUnavailable: not now, or not within `seconds`; says why.
        BusRefused: not so.
    """
    try:
        await (await aio_pika.connect(url, timeout=seconds)).close()
    except Exception as error:
        raise refusal(error, url) or BusUnavailable(reason(error)) from None


async def settle(action: Callable[[], Awaitable[object]]) -> None:
    """Ack, nack or cancel on a channel that may be gone; then the broker has done it for us.

    In time, since aiormq lets a frame wait for ever for a connection that ended meanwhile.
    """
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT):
            await action()
    except AWAY as error:
        log.info("too late for the channel", extra={"error": type(error).__name__})


def has_channel(incoming: AbstractIncomingMessage) -> bool:
    """Whether a message can still be answered. If not, the broker has taken it back."""
    try:
        return not incoming.channel.is_closed
    except ChannelInvalidStateError:
        return False


async def publish(
    channel: AbstractChannel,
    exchange: str,
    key: str,
    body: bytes,
    properties: Basic.Properties,
    *,
    mandatory: bool = False,
) -> None:
    """Publish a message, and wait for its confirm where the channel knows confirms.

    By aiormq itself, without what aio-pika makes of each message around it. It waits until the
    message has gone to the socket where nothing else bounds what a broker that takes nothing more
    leaves in memory here: where there is no confirm, and beyond so many that are not confirmed.
    Otherwise it does not, since a channel's publishers would do so one by one, a few turns of the
    loop each, and turns are long when there is much to do.
    """
    # Its abstract class knows less than it does.
    underlay = cast(Underlay, await channel.get_underlay_channel())
    bounded = underlay.publisher_confirms and len(underlay.confirmations) < UNCONFIRMED
    await underlay.basic_publish(
        body,
        exchange=exchange,
        routing_key=key,
        properties=properties,
        mandatory=mandatory,
        wait=not bounded,
    )


async def acknowledge(incoming: AbstractIncomingMessage) -> None:
    """Ack a message, with others of this turn of the loop.

    Whether it went to the socket nobody need know: a connection that takes it no more gives the
    message to the next consumer.
    """
    if incoming.delivery_tag is not None:
        await incoming.channel.basic_ack(incoming.delivery_tag, wait=False)


async def answer(incoming: AbstractIncomingMessage, how: Callable[[], Awaitable[object]]) -> None:
    """Ack or nack a message. If that fails, its channel is given up, so that it comes again:
    otherwise the broker would wait for its answer, and count it as in hand, for ever.
    """
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT):
            await how()
    except (Exception, asyncio.CancelledError) as error:
        if is_cancelled():
            raise
        log.info("too late for the channel", extra={"error": type(error).__name__})
        if has_channel(incoming):
            await settle(incoming.channel.close)
