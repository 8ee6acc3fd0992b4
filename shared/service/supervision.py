"""Background tasks that live as long as their service: one that ends is started again, and shows.

Whatever runs in a loop beside the messages belongs here. Otherwise a fault nobody thought of ends
it for good, while the service goes on looking well.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Self

from shared import metrics
from shared.tasks import end, is_cancelled

log = logging.getLogger(__name__)

# The pause before a task is started again doubles from the first to the longest.
FIRST_S: Final = 1.0
LONGEST_S: Final = 30.0
# Whoever ran so long is well again: its next pause is the first.
WELL_S: Final = 60.0

Work = Callable[[], Awaitable[None]]


class Supervisor:
    """Keeps tasks running until its block ends; then each is cancelled and awaited.

    Args:
        clock: monotonic seconds, and `sleep` waits on the same clock; both for tests.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._down: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks.values())

    def keep(self, name: str, work: Work) -> None:
        """Run this, and again whenever it ends, however it does.

        Args:
            name: of a bounded set: in logs, metrics and `/ready`.
            work: to run until it is cancelled.

        Raises:
            ValueError: a task of this name is kept already.
        """
        if name in self._tasks:
            raise ValueError(f"{name}: kept already")
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=name)

    @property
    def down(self) -> list[str]:
        """The tasks that ended and wait to be started again."""
        return sorted(self._down)

    async def _keep(self, name: str, work: Work) -> None:
        pause = FIRST_S
        while True:
            began = self._clock()
            metrics.task_up.labels(name).set(1)
            try:
                await self._once(name, work)
            finally:
                metrics.task_up.labels(name).set(0)
            if self._clock() - began >= WELL_S:
                pause = FIRST_S
            self._down.add(name)
            await self._sleep(pause)
            self._down.discard(name)
            metrics.task_restarts.labels(name).inc()
            pause = min(pause * 2, LONGEST_S)

    async def _once(self, name: str, work: Work) -> None:
        """Run it to its end, and say how it ended; only our own cancellation goes on."""
        try:
            await work()
        except (Exception, asyncio.CancelledError):
            # One that is raised without a request is some other task's.
            if is_cancelled():
                raise
            log.exception("a background task failed", extra={"task": name})
        else:
            if is_cancelled():
                raise asyncio.CancelledError
            log.error("a background task ended", extra={"task": name})
