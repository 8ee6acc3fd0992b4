"""Long bodies are read in steps, and between two steps the event loop has its turn."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

# Together about a millisecond of the loop, whatever the bytes are.
STEP_ITEMS: Final = 64
STEP_BYTES: Final = 64 * 1024


async def next_turn() -> None:
    """Let everybody else go first."""
    await asyncio.sleep(0)


class Pace:
    """Counts what was done since the last turn.

    Args:
        turn: gives the loop its turn.
    """

    def __init__(self, turn: Callable[[], Awaitable[None]] = next_turn) -> None:
        self._turn = turn
        self._items = self._bytes = 0

    async def spend(self, size: int) -> None:
        """One more item, of so many bytes."""
        self._items += 1
        self._bytes += size
        if self._items >= STEP_ITEMS or self._bytes >= STEP_BYTES:
            self._items = self._bytes = 0
            await self._turn()
