"""How long to wait for the broker's confirms: a busy broker is not a dead one.

In a burst, a confirm may come late because a thousand others come before it. So the time a
publisher gives is one of silence: it starts over as long as any message is confirmed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

# Below every timeout that is asked for, so that no confirm is heard of too late.
TICK_S: Final = 0.5
# Whoever waits longer than this is better told so, however busy the broker is.
LONGEST_S: Final = 30.0


class Confirms:
    """The messages of one publisher that are not confirmed yet."""

    def __init__(self) -> None:
        # Each wait's limit, with the silence it bears and its last moment.
        self._waits: dict[asyncio.Timeout, tuple[float, float]] = {}
        self._heard = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._waits)

    @asynccontextmanager
    async def awaited(self, silence: float) -> AsyncIterator[None]:
        """Publish and wait for the confirm in this block; leaving it well is the confirm.

        Args:
            silence: seconds without the confirm of any message, more than TICK_S.

        Raises:
            TimeoutError: after `silence`, or after LONGEST_S however many others are confirmed.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(silence) as limit:
            self._waits[limit] = silence, loop.time() + LONGEST_S
            if self._timer is None:
                self._timer = loop.call_later(TICK_S, self._tick)
            try:
                yield
                self._heard = True
            finally:
                del self._waits[limit]

    def _tick(self) -> None:
        """Give everybody their time again if anything was confirmed since the last tick."""
        self._timer = None
        if not self._waits:
            return
        loop = asyncio.get_running_loop()
        if self._heard:
            now = loop.time()
            for limit, (silence, last) in self._waits.items():
                if not limit.expired():
                    limit.reschedule(min(now + silence, last))
        self._heard = False
        self._timer = loop.call_later(TICK_S, self._tick)
