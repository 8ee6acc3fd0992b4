"""One fault's turn: a load, what befalls the stack meanwhile, and what became of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.chaos.asked import Asked, lasting
from tests.chaos.judge import Row, judged, missing
from tests.chaos.load import Askers, askers
from tests.chaos.stack import LIMITS, Stack

LATENCY_MS: Final = 300
_QUIET_S: Final = 20.0


@dataclass
class Trial:
    """A stack, and those who ask it."""

    stack: Stack
    askers: Askers
    table: list[Row]

    async def judge(
        self,
        name: str,
        load: Sequence[Asked],
        *,
        excused: Sequence[str] = (),
        forgotten: Sequence[Asked] = (),
    ) -> None:
        """Put a row into the table, and check what holds whatever happens.

        Whoever comes afterwards over HTTP is told the same; the work is done, so nothing waits, and
        every service is ready.

        Args:
            excused: columns whose counts need not be 0.
            forgotten: lookups whose state has gone.
        """
        left = await self._quiet()
        calls = await self.stack.calls(self.askers.http)
        row = judged(name, load, calls, LIMITS, left)
        self.table.append(row)
        row.check(excused=excused, missing=missing(load))
        for asked in load:
            if asked.way == "web" and asked not in forgotten:
                told = [lasting(asked.events[seq]) for seq in sorted(asked.events)]
                again = [lasting(body) for body in await self.askers.web.replayed(asked)]
                assert again == told, f"told {told}, then {again}"
        assert left == {}, f"left in queues: {left}"
        await self.ready()

    async def ready(self) -> None:
        """Wait until every service says that it is ready."""
        end = time.monotonic() + _QUIET_S
        while not all((ready := await self.stack.ready(self.askers.http)).values()):
            assert time.monotonic() < end, ready
            await asyncio.sleep(0.05)

    async def _quiet(self) -> dict[str, int]:
        """What stands in queues, once nothing does or nothing moves any more."""
        end = time.monotonic() + _QUIET_S
        while (left := await self.stack.left()) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return left


@asynccontextmanager
async def trial(
    stack: Stack, table: list[Row], latency_ms: int = LATENCY_MS, jitter_ms: int = LATENCY_MS
) -> AsyncIterator[Trial]:
    """Have every provider take so long, and people who ask."""
    with stack.on_trial():
        async with askers(stack.amqp_url, stack.services.gateway) as asking:
            await stack.free_permits()
            await stack.slow_down(asking.http, latency_ms, jitter_ms)
            yield Trial(stack, asking, table)
