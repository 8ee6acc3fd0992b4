"""News on its way to the gateways: transient, unconfirmed, gathered.

An event's place is its flight's log; what travels to a gateway is news of it. So nobody waits for
a confirm, and all that a process has to say to a gateway in one turn of its event loop is one
message. A gateway that misses some of it looks into the log.

Measured, both ends and the broker: 126 µs for each event alone, 36 µs with four in a message, where
a confirmed, persistent message takes 350.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from msgspec import Struct
from pamqp.commands import Basic

from shared.link import Link, publish
from shared.tasks import is_cancelled

log = logging.getLogger(__name__)

# A message of more pieces, or bytes, would keep a gateway from its other streams.
MOST: Final = 200
LARGEST: Final = 256 * 1024
# What waits here for one gateway while the broker takes nothing, and there while the gateway does.
WAITING: Final = 10_000
BACKLOG_BYTES: Final = 64 * 1024 * 1024
_TRANSIENT: Final = 1


class News(Struct, array_like=True):
    """An event that stands in a flight's log at `seq`, for these lookups of it. `body` is without
    task_id and seq.
    """

    tasks: list[str]
    seq: int
    type: str
    body: bytes


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[News])


def _queue(listener: str) -> str:
    return f"news.{listener}"


class Courier:
    """Sends news, over the connection of a link that publishes, by a channel without confirms.

    What is said with an order goes to the socket together with it.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._waiting: defaultdict[str, list[News]] = defaultdict(list)
        self._sending: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Send what waits, if that can be done at once."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=1.0)

    def send(self, listener: str, piece: News) -> None:
        """Have this sent at the end of this turn of the loop; never, if there is no connection."""
        if len(self._waiting[listener]) < WAITING:
            self._waiting[listener].append(piece)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, defaultdict(list)
                if self._link.is_up:
                    await self._publish(waiting)
        finally:
            self._sending = None

    async def _publish(self, waiting: dict[str, list[News]]) -> None:
        try:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.further(timeout=1.0)
            for listener, pieces in waiting.items():
                for part in _parts(pieces):
                    properties = Basic.Properties(delivery_mode=_TRANSIENT)
                    body = _encoder.encode(part)
                    await publish(self._channel, "", _queue(listener), body, properties)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            log.debug("news were lost", extra={"error": type(error).__name__})


def _parts(pieces: list[News]) -> Iterator[list[News]]:
    """The pieces in as few messages as they may be."""
    part: list[News] = []
    size = 0
    for piece in pieces:
        own = len(piece.body) + 40 * len(piece.tasks)
        if part and (len(part) >= MOST or size + own > LARGEST):
            yield part
            part, size = [], 0
        part.append(piece)
        size += own
    if part:
        yield part


async def hear(
    channel: AbstractChannel, me: str, on_news: Callable[[News], None], backlog: int
) -> None:
    """Consume this process' news from a queue that nobody keeps anything in.

    Args:
        backlog: messages that may wait at the broker; the oldest go first.
    """
    underlay = await channel.get_underlay_channel()
    bounds: dict[str, Any] = {"x-max-length": backlog, "x-max-length-bytes": BACKLOG_BYTES}
    await underlay.queue_declare(_queue(me), exclusive=True, auto_delete=True, arguments=bounds)

    async def on_message(message: DeliveredMessage) -> None:
        try:
            pieces = _decoder.decode(message.body)
        except msgspec.DecodeError:
            log.warning("news that cannot be read")
            return
        for piece in pieces:
            on_news(piece)

    await underlay.basic_consume(_queue(me), on_message, no_ack=True)
