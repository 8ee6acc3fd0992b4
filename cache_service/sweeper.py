"""Send again what got lost on its way through the delay queues.

RabbitMQ moves a message from one delay queue to the next by dead-lettering, which classic queues
do without confirms: one that is between two levels at the moment the broker is killed is gone.
So each lookup that is put off, and each deadline, also stands in Redis by its time, and is sent
once more when that has clearly passed. Both messages may come twice.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Final

from shared.bus import Bus
from shared.errors import Unavailable
from shared.lookups import Lookups
from shared.messages import DeadlineReached
from shared.topology import DEADLINE, MAX_PRIORITY, REQUESTED

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
# Later than any delay that only took its time.
GRACE_S: Final = 3.0


@dataclass(frozen=True)
class Sweeper:
    """Looks after what is overdue."""

    bus: Bus
    lookups: Lookups

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.sweep(time.time() - GRACE_S)
            except Unavailable:
                continue

    async def sweep(self, before: float) -> int:
        """Send again what was due before then (Unix seconds). Returns how many there were.

        Raises:
            Unavailable: the rest is overdue still, and swept later.
        """
        ended = await self.lookups.overdue("deadlines", before)
        for task in ended:
            await self.bus.command(DEADLINE, DeadlineReached(task_id=task), priority=MAX_PRIORITY)
        begun = await self.lookups.overdue("scheduled", before)
        for task in begun:
            request = await self.lookups.put_off(task)
            if request is not None:
                request.delay = 0
                await self.bus.command(REQUESTED, request, priority=request.priority)
        if ended or begun:
            log.warning("sent again", extra={"deadlines": len(ended), "scheduled": len(begun)})
        return len(ended) + len(begun)
