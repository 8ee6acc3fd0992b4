"""An event loop whose time passes at once: tests of timeouts, pauses and hours take no time.

Only for coroutines that wait for time and for each other, not for sockets.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Instead of waiting, let the time have passed."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will happen any more")
        self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and jumps to whatever is due next."""

    def __init__(self) -> None:
        self._hand = _Selector()
        super().__init__(self._hand)

    def time(self) -> float:
        return self._hand.now


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Virtual seconds since the start: the clock to inject."""
    return asyncio.get_running_loop().time()
