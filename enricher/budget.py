"""A budget for retries, so that an outage does not multiply the load that caused it.

As in Finagle's `RetryBudget`: retries may be a share of the calls, plus a few, so that somebody
who makes one call a minute may retry as well. Here both are counted in a sliding window.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class RetryBudget:
    """Of one provider, in this process; a share holds for any number of replicas.

    Args:
        share: retries per call.
        minimum: retries in a window that are always free.
        window: seconds.
        clock: monotonic seconds.
    """

    share: float = 0.2
    minimum: int = 10
    window: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _calls: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    _retries: deque[float] = field(default_factory=deque)

    def call(self) -> None:
        """Note a call that is no retry."""
        self._calls.append(self.clock())

    def retry(self) -> None:
        """Spend one retry."""
        self._retries.append(self.clock())

    @property
    def is_spent(self) -> bool:
        """Whether one more retry would be one too many."""
        edge = self.clock() - self.window
        for times in (self._calls, self._retries):
            while times and times[0] <= edge:
                times.popleft()
        return len(self._retries) >= max(self.minimum, int(self.share * len(self._calls)))
