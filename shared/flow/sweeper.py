"""End what is overdue, and begin what the delay queues lost.

The deadline of each accepted lookup stands in Redis from the moment of its acceptance, and every
service looks every second: so a lookup ends in time whichever of them are up.

RabbitMQ moves a message from one delay queue to the next by dead-lettering, which classic queues
do without confirms: one that is between two levels at the moment the broker is killed is gone. So
each lookup that is put off also stands in Redis by the time it starts, and is sent once more when
that has clearly passed; the message may come twice.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.bus import Bus
from shared.errors import Unavailable
from shared.flow.ending import Endings
from shared.lookups import BATCH, Lookups
from shared.topology import REQUESTED

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
# Later than any delay that only took its time.
GRACE_S: Final = 3.0
# Ended side by side: they share their round trips.
TOGETHER: Final = 20


@dataclass(frozen=True)
class Sweeper:
    """Looks after what is overdue."""

    bus: Bus
    lookups: Lookups
    endings: Endings

    async def run(self) -> None:
        """Sweep every second, until cancelled."""
        # Not at the same moment as the other services.
        await asyncio.sleep(random.uniform(0, EVERY_S))  # noqa: S311
        while True:
            try:
                while await self.sweep() >= BATCH:
                    pass
            except Unavailable:
                log.info("what is overdue waits for an outage to end")
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """End what is overdue now, and begin what should have begun. Returns how many there were.

        Raises:
            Unavailable: the rest is overdue still, and swept soon.
        """
        ended = await self.lookups.overdue("deadlines", 0)
        await _each(ended, self.endings.expire)
        begun = await self.lookups.overdue("scheduled", GRACE_S)
        await _each(begun, self._begin)
        if begun:
            log.warning("sent again", extra={"scheduled": len(begun)})
        return max(len(ended), len(begun))

    async def _begin(self, task: str) -> None:
        request = await self.lookups.put_off(task)
        if request is not None:
            await self.bus.command(REQUESTED, request, priority=request.priority)


async def _each(tasks: list[str], act: Callable[[str], Awaitable[None]]) -> None:
    """Act on each, a few at a time. One that fails keeps none of the others from its turn."""
    errors: list[BaseException] = []
    for start in range(0, len(tasks), TOGETHER):
        part = tasks[start : start + TOGETHER]
        found = await asyncio.gather(*map(act, part), return_exceptions=True)
        errors += [error for error in found if isinstance(error, BaseException)]
    if errors:
        raise errors[0]
