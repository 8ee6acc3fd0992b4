"""End what is overdue, and begin what nobody has begun.

The deadline of each accepted lookup stands in Redis from the moment of its acceptance, and every
service looks every second: so a lookup ends in time whichever of them are up.

RabbitMQ moves a message from one delay queue to the next by dead-lettering, which classic queues
do without confirms: one that is between two levels at the moment the broker is killed is gone. So
each lookup that is put off also stands in Redis by the time it starts, and is sent once more when
that has clearly passed; the message may come twice. So is an order that was put off by its handler,
and a lookup that a gateway has written down and whose orders it did not get onto the bus. What such
a gateway may have written down and not told is told, even if all of it has ended by then.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Final, TypeVar

from msgspec.structs import replace

from shared.bus import Bus
from shared.errors import Unavailable
from shared.flow.ending import Endings
from shared.lookups import BATCH, Lookups, Recorded
from shared.messages import AnalysisRequested, StageRequested, decode
from shared.tasks import is_cancelled
from shared.topology import ANALYSIS, REQUESTED, STAGE_QUEUES

log = logging.getLogger(__name__)

Item = TypeVar("Item")

EVERY_S: Final = 1.0
# Messages before what a process would have to tell of an end. With more of them it leaves what is
# overdue to the others, for as long as it takes until each of them has looked.
BUSY: Final = 100
# Later than any delay that only took its time.
GRACE_S: Final = 3.0
# The same of an order, whose delay may be up to three seconds longer than its time: see `consumer`.
LATE_S: Final = 5.0
# Ended side by side: they share their round trips.
TOGETHER: Final = 20
# About what one process tells before somebody else looks after it: most is told by one only.
MOST_UNTOLD: Final = 2_000
# From a try to tell that met an outage to the second and last one here.
PAUSE_S: Final = 0.5
# For what is not told yet when the process ends; less than `end` takes to cancel once more.
LAST_S: Final = 2.0


class Sweeper:
    """Looks after what is overdue: three loops, so that none waits for another's outage."""

    def __init__(self, bus: Bus, lookups: Lookups, endings: Endings) -> None:
        self._bus, self._lookups, self._endings = bus, lookups, endings
        # What has been ended here and not been told, by task. What finds no room is told by
        # whoever looks after it next.
        self._untold: dict[str, list[Recorded]] = {}
        self._ended = asyncio.Event()

    async def end(self) -> None:
        """End what is overdue every second, until cancelled."""
        await _regularly(self.conclude)

    async def begin(self) -> None:
        """Begin every second what should have begun, until cancelled."""
        await _regularly(self.start)

    async def tell(self) -> None:
        """Tell what has been ended, until cancelled; and then what is left, if that is quick."""
        try:
            while True:
                await self._ended.wait()
                await self._tell_all()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_S):
                    await self._tell_all()

    async def _tell_all(self) -> None:
        while self._untold:
            try:
                await _each(list(islice(self._untold, TOGETHER)), self._tell)
            except Unavailable:
                log.info("what has ended is told later")
        self._ended.clear()

    async def _tell(self, task: str) -> None:
        ends = self._untold[task]
        try:
            await self._endings.tell(task, ends)
        except Unavailable:
            # A connection that breaks takes down what it was telling, and mostly comes back.
            await asyncio.sleep(PAUSE_S)
            await self._endings.tell(task, ends)
        finally:
            # Cut short, it is among what is left.
            if not is_cancelled():
                del self._untold[task]

    async def conclude(self) -> int:
        """Write the end of what is overdue now. Returns how many there were.

        Raises:
            StoreUnavailable: the rest is overdue still.
        """
        late = EVERY_S if self._bus.unconfirmed > BUSY else 0
        overdue = await self._lookups.overdue("deadlines", late)
        await _each(overdue, self._conclude)
        return len(overdue)

    async def _conclude(self, task: str) -> None:
        if task in self._untold:
            return  # overdue still, since it waits to be told
        ends = await self._endings.conclude(task)
        if len(self._untold) < MOST_UNTOLD:
            self._untold[task] = ends
            self._ended.set()

    async def start(self) -> int:
        """Send again what should have begun. Returns how many there were.

        Raises:
            Unavailable: the rest is overdue still.
        """
        if not self._bus.is_connected:
            return 0
        # At once: they share a round trip, and a fault of one keeps no other from its turn.
        sweeps = (self._start_overdue(), self._send_astray(), self._retell_untold())
        found = await asyncio.gather(*sweeps, return_exceptions=True)
        numbers: list[int] = []
        for each in found:
            if isinstance(each, BaseException):
                raise each
            numbers.append(each)
        if any(numbers):
            about = dict(zip(("scheduled", "orders", "flights"), numbers, strict=True))
            log.warning("sent again", extra=about)
        return sum(numbers)

    async def _start_overdue(self) -> int:
        overdue = await self._lookups.overdue("scheduled", GRACE_S)
        await _each(overdue, self._start)
        return len(overdue)

    async def _send_astray(self) -> int:
        astray = await self._lookups.astray(LATE_S)
        await _each(astray, self._send)
        return len(astray)

    async def _retell_untold(self) -> int:
        untold = await self._lookups.overdue("untold", GRACE_S)
        flights: defaultdict[str, list[str]] = defaultdict(list)
        for item in untold:
            flight, plan = item.split()
            flights[flight].append(plan)
        await _each(flights.items(), self._retell)
        return len(untold)

    async def _start(self, task: str) -> None:
        request = await self._lookups.put_off(task)
        if request is not None:
            await self._bus.command(REQUESTED, request, priority=request.priority)

    async def _retell(self, untold: tuple[str, list[str]]) -> None:
        flight, plans = untold
        await self._endings.reporter.retell(flight)
        await self._lookups.retold(flight, plans)

    async def _send(self, astray: tuple[str, str, bytes]) -> None:
        step, name, body = astray
        order: StageRequested | AnalysisRequested
        if step == "analysis":
            queue, order = ANALYSIS, decode(body, AnalysisRequested)
        else:
            order = decode(body, StageRequested)
            queue = STAGE_QUEUES[order.stage]
        await self._bus.command(queue, replace(order, order=name), priority=order.priority)


async def _regularly(sweep: Callable[[], Awaitable[int]]) -> None:
    # Not at the same moment as the other services.
    await asyncio.sleep(random.uniform(0, EVERY_S))  # noqa: S311
    while True:
        try:
            while await sweep() >= BATCH:
                pass
        except Unavailable:
            log.info("what is overdue waits for an outage to end")
        await asyncio.sleep(EVERY_S)


async def _each(items: Iterable[Item], act: Callable[[Item], Awaitable[None]]) -> None:
    """Act on each, a few at a time. A fault of one is logged, and keeps no other from its turn.

    Raises:
        Unavailable: an outage: the rest is left alone.
    """
    waiting = list(items)
    for start in range(0, len(waiting), TOGETHER):
        part = waiting[start : start + TOGETHER]
        found = await asyncio.gather(*map(act, part), return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException) and not isinstance(error, Unavailable):
                log.error("an overdue lookup was not ended", exc_info=error)
        for error in found:
            if isinstance(error, Unavailable):
                raise error
