"""The latest calls to one provider: how many failed, how many were slow, how long they took."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

# Calls remembered at most, however many the window would hold.
_MOST: Final = 10_000
# A percentile is of so many of the latest calls, and of no fewer than these.
_RECENT, _ENOUGH = 200, 20


@dataclass(frozen=True, slots=True)
class _Call:
    at: float
    duration: float
    # None where it proves nothing: given up, refused, or a not-found that may be an outage.
    failed: bool | None
    slow: bool
    # Whether it says how fast the provider is: one given up soon does not, one given up late was
    # slow.
    timed: bool


class Window:
    """A sliding window of calls.

    Args:
        seconds: its length.
        slow: seconds from which on a call is a slow one.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, slow: float, clock: Callable[[], float]) -> None:
        self._seconds, self._slow, self._clock = seconds, slow, clock
        self._calls: deque[_Call] = deque()
        self._failed = self._decided = self._timed = self._slow_ones = 0

    def add(self, duration: float, *, failed: bool | None, given_up: bool = False) -> None:
        """Note a call that ended just now, or was given up since another provider was faster."""
        slow = duration >= self._slow
        call = _Call(self._clock(), duration, failed, slow, timed=slow or not given_up)
        self._count(call, 1)
        self._calls.append(call)
        self._forget()

    def clear(self) -> None:
        """Begin anew."""
        self._calls.clear()
        self._failed = self._decided = self._timed = self._slow_ones = 0

    @property
    def decided(self) -> int:
        """Calls that prove something."""
        self._forget()
        return self._decided

    @property
    def failure_rate(self) -> float:
        """Of those, the share that failed."""
        self._forget()
        return self._failed / self._decided if self._decided else 0.0

    @property
    def timed(self) -> int:
        """Calls that say how fast the provider is."""
        self._forget()
        return self._timed

    @property
    def slow_rate(self) -> float:
        """Of those, the share of slow ones; a client that gave up on one makes it no faster."""
        self._forget()
        return self._slow_ones / self._timed if self._timed else 0.0

    def percentile(self, share: float) -> float | None:
        """Seconds that this share (below 1) of the latest calls stayed within; None if few."""
        self._forget()
        recent = sorted(call.duration for call in islice(reversed(self._calls), _RECENT))
        if len(recent) < _ENOUGH:
            return None
        return recent[int(share * len(recent))]

    def _forget(self) -> None:
        edge = self._clock() - self._seconds
        while self._calls and (self._calls[0].at <= edge or len(self._calls) > _MOST):
            self._count(self._calls.popleft(), -1)

    def _count(self, call: _Call, step: int) -> None:
        self._decided += step * (call.failed is not None)
        self._failed += step * (call.failed is True)
        self._timed += step * call.timed
        self._slow_ones += step * call.slow
