"""A connection to RabbitMQ that is made again whenever it is lost.

aio-pika's plain connections are used, not the robust ones: a robust connection that cannot
restore one queue stays down for ever, and it hides when deliveries were lost. A `Link` owns one
connection with one channel, and builds both anew, from nothing, whenever either ends.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from shared import properties
from shared.errors import BusUnavailable

log = logging.getLogger(__name__)

properties.install()

HEARTBEAT: Final = 15
# Every way aio-pika says that the broker is not there.
AWAY: Final = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)
LONGEST_PAUSE: Final = 2.0
SETTLE_TIMEOUT: Final = 10.0

Setup = Callable[[AbstractChannel], Awaitable[None]]


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
        # While it connects, aiormq swallows a cancellation now and then: once is not enough.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=0.5)

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
            except (*AWAY, asyncio.CancelledError) as error:
                # A connection that ends during the set-up has aiormq raise CancelledError, though
                # nobody cancelled anything: taken at its word, this link would be down for ever.
                if self._task is not None and self._task.cancelling():
                    raise
                # The error's text may hold the URL, and the URL holds a password.
                log.warning(
                    "no connection to RabbitMQ",
                    extra={"link": self._name, "error": type(error).__name__},
                )
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)

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


async def settle(action: Callable[[], Awaitable[object]]) -> None:
    """Ack, nack or cancel on a channel that may be gone; then the broker has done it for us.

    In time, since aiormq lets a frame wait for ever for a connection that ended meanwhile.
    """
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT):
            await action()
    except (*AWAY, ChannelInvalidStateError) as error:
        log.info("too late for the channel", extra={"error": type(error).__name__})
