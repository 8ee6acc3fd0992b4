"""Exchanges, queues, priorities and delays, declared once, as data.

A classic queue's `x-max-priority` can be set by argument only and never changed afterwards:
whoever changes an argument here gives the queue a new name (`stage.endereco.2`), or RabbitMQ
refuses the declaration on every installation that exists.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from msgspec import Struct

from shared.dead_queues import declare_dead
from shared.messages import (
    STAGES,
    AnalysisRequested,
    JobRequested,
    Requested,
    Stage,
    StageRequested,
)

LOOKUPS: Final = "lookups"
EVENTS: Final = "events"
DEAD: Final = "dead"
DELIVER: Final = "delay.deliver"
UNROUTABLE: Final = "unroutable"
UNROUTABLE_DEAD: Final = f"{UNROUTABLE}.dead"
MAX_PRIORITY: Final = 10
# 2^20 - 1 seconds, a little over 12 days.
DELAY_LEVELS: Final = 20
LONGEST_DELAY: Final = 2**DELAY_LEVELS - 1


@dataclass(frozen=True)
class Queue:
    """A work queue: its name is its routing key on `lookups`, and it carries one type."""

    name: str
    message: type[Struct]

    @property
    def dead(self) -> str:
        """The queue that keeps what this one's consumers could not handle."""
        return f"{self.name}.dead"


REQUESTED: Final = Queue("lookup.requested", Requested)
JOBS: Final = Queue("job.requested", JobRequested)
ANALYSIS: Final = Queue("analysis.requested", AnalysisRequested)
STAGE_QUEUES: Final[dict[Stage, Queue]] = {
    stage: Queue(f"stage.{stage}", StageRequested) for stage in STAGES
}
QUEUES: Final = (REQUESTED, *STAGE_QUEUES.values(), ANALYSIS, JOBS)


def delay_route(seconds: float, queue: str) -> tuple[str, str]:
    """Exchange and routing key that bring a message to `queue` after `seconds`, rounded up.

    The key is the delay in binary, most significant bit first, then the queue. A message enters
    at its highest set bit: on level n a 1 means wait 2^n seconds in that level's queue, a 0 means
    go straight on to level n-1. The scheme is NServiceBus's delay infrastructure for RabbitMQ.

    Raises:
        ValueError: longer than LONGEST_DELAY.
    """
    whole = math.ceil(seconds)
    if not 0 <= whole <= LONGEST_DELAY:
        raise ValueError(f"a delay is 0 to {LONGEST_DELAY} seconds")
    bits = f"{whole:0{DELAY_LEVELS}b}"
    entry = f"delay.{whole.bit_length() - 1}" if whole else DELIVER
    return entry, ".".join((*bits, queue))


def event_key(origin: str, task_id: str, event: str) -> str:
    """Routing key of an event: an asker binds `<origin>.#`."""
    return f"{origin}.{task_id}.{event}"


async def declare(channel: AbstractChannel, queues: tuple[Queue, ...] = QUEUES) -> None:
    """Make everything that is missing. Idempotent, so every service does it at every connect."""
    await channel.declare_exchange(LOOKUPS, ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(EVENTS, ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(DEAD, ExchangeType.DIRECT, durable=True)
    await _declare_delays(channel)
    await declare_dead(channel, UNROUTABLE_DEAD, *(queue.dead for queue in queues))
    lost = await channel.get_queue(UNROUTABLE_DEAD, ensure=False)
    await lost.bind(UNROUTABLE)
    for queue in queues:
        await _declare_work(channel, queue)


async def declare_queue(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """Make a work queue with its dead queue, where the exchanges exist. Its consumer does it too:
    who else would, after somebody deleted it?
    """
    await declare_dead(channel, queue.dead)
    return await _declare_work(channel, queue)


async def _declare_work(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    work = await channel.declare_queue(queue.name, durable=True, arguments=_arguments(queue))
    await work.bind(LOOKUPS, queue.name)
    await work.bind(DELIVER, f"#.{queue.name}")
    grave = await channel.get_queue(queue.dead, ensure=False)
    await grave.bind(DEAD, queue.dead)
    return work


def _arguments(queue: Queue) -> dict[str, Any]:
    return {
        "x-max-priority": MAX_PRIORITY,
        # Ours are buried by hand, with the reason. This is for what the broker itself gives up.
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": queue.dead,
    }


async def _declare_delays(channel: AbstractChannel) -> None:
    """Levels from the shortest up: each binds to the one below, which must exist."""
    await channel.declare_exchange(UNROUTABLE, ExchangeType.FANOUT, durable=True)
    # Without an alternate exchange a message for a queue that is gone would block its level.
    below = await channel.declare_exchange(
        DELIVER, ExchangeType.TOPIC, durable=True, arguments={"alternate-exchange": UNROUTABLE}
    )
    for level in range(DELAY_LEVELS):
        name = f"delay.{level}"
        exchange = await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(
            name,
            durable=True,
            arguments={"x-message-ttl": 2**level * 1000, "x-dead-letter-exchange": below.name},
        )
        skip = "*." * (DELAY_LEVELS - 1 - level)
        await queue.bind(exchange, f"{skip}1.#")
        await below.bind(exchange, f"{skip}0.#")
        below = exchange
