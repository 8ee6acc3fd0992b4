"""Publish what no client library would: the bytes of AMQP 0-9-1, written by hand.

RabbitMQ passes a message's properties on without reading most of them, so whatever some publisher
puts there reaches the consumer's library. Layouts are of the specification, section 4.2.
"""

import struct
from typing import Final

from aio_pika.abc import AbstractChannel
from aiormq import Channel
from aiormq.abc import ChannelFrame

_METHOD, _HEADER, _BODY = 1, 2, 3
_BASIC: Final = 60
_PUBLISH: Final = 40
# Bits of the property flags.
CONTENT_TYPE: Final = 1 << 15
HEADERS: Final = 1 << 13
TIMESTAMP: Final = 1 << 6


async def publish(
    channel: AbstractChannel, exchange: str, key: str, body: bytes, flag: int, value: bytes
) -> None:
    """Publish with one property: its flag, and its value as bytes."""
    under = await channel.get_underlay_channel()
    assert isinstance(under, Channel)
    method = struct.pack("!HHH", _BASIC, _PUBLISH, 0) + short(exchange) + short(key) + b"\0"
    header = struct.pack("!HHQH", _BASIC, 0, len(body), flag) + value
    frames = b"".join(
        struct.pack("!BHL", kind, under.number, len(payload)) + payload + b"\xce"
        for kind, payload in ((_METHOD, method), (_HEADER, header), (_BODY, body))
    )
    await under.write_queue.put(ChannelFrame(payload=frames, should_close=False))


def short(text: str | bytes) -> bytes:
    """A short string."""
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def table(name: bytes, value: bytes) -> bytes:
    """A table of one field; the value with its type in front."""
    data = short(name) + value
    return struct.pack("!L", len(data)) + data
