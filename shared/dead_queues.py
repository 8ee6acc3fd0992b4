"""Dead queues, bounded: what lies in one holds identifiers, and nobody may ever look at it.

A queue's arguments cannot be changed, and those of 0.1.0 were made without any. They may hold
messages, so they are not replaced but used as they are, and somebody is told how to bound them.
"""

import logging
from typing import Any, Final

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed

log = logging.getLogger(__name__)

# 30 days and 256 MiB; the oldest goes first.
BOUNDS: Final[dict[str, Any]] = {
    "x-message-ttl": 30 * 86_400_000,
    "x-max-length-bytes": 256 * 2**20,
}
_told: set[str] = set()


async def declare_dead(channel: AbstractChannel, *names: str) -> None:
    """Make these dead queues where they are missing, over channels of its own on the connection:
    a refused declaration closes its channel.
    """
    connection = (await channel.get_underlay_channel()).connection
    unbounded = []
    beside = await connection.channel()
    try:
        for name in names:
            if beside.is_closed:
                beside = await connection.channel()
            try:
                await beside.queue_declare(name, durable=True, arguments=BOUNDS)
            except ChannelPreconditionFailed:
                unbounded.append(name)
    finally:
        await beside.close()
    _tell([name for name in unbounded if name not in _told])


def _tell(names: list[str]) -> None:
    if names:
        log.warning(
            "dead queues made without bounds, used as they are: %s; import "
            "deploy/rabbitmq/definitions.json, or delete them after the last 0.1.0 is gone and "
            "once they are empty",
            ", ".join(names),
        )
        _told.update(names)
