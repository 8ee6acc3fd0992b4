"""A circuit breaker per provider: aiobreaker's states, and what they lack for our use.

aiobreaker counts consecutive failures and knows closed, open and half-open. Around it stand:
failure rate and slow-call rate over a sliding window; one probe at a time when half-open, where
aiobreaker lets every waiting call through; open times that grow, with jitter; ignored errors that
are not counted as success; the original error in place of `CircuitBreakerError`; a monotonic
clock, since aiobreaker reckons in naive local time; and pauses, for a provider that asked for one.
"""

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeVar

from aiobreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerListener
from aiobreaker.state import CircuitBreakerBaseState, CircuitBreakerState

from enricher.failures import Failure, NotCalled, Outage
from shared import metrics

Result = TypeVar("Result")
State = Literal["FECHADO", "ABERTO", "MEIO_ABERTO"]

_STATES: Final[dict[CircuitBreakerState, State]] = {
    CircuitBreakerState.CLOSED: "FECHADO",
    CircuitBreakerState.OPEN: "ABERTO",
    CircuitBreakerState.HALF_OPEN: "MEIO_ABERTO",
}
_GAUGE: Final[dict[State, int]] = {"FECHADO": 0, "MEIO_ABERTO": 1, "ABERTO": 2}


class CircuitOpen(NotCalled):
    """The provider is not asked at present; `retry_in` seconds from now it may be."""

    reason = "circuit_open"

    def __init__(self, retry_in: float, cause: str) -> None:
        super().__init__(f"circuit open: {cause}")
        self.retry_in = retry_in
        self.cause = cause


@dataclass(frozen=True)
class Policy:
    """When a breaker opens, and for how long. Times in seconds."""

    consecutive: int = 5
    window: float = 60.0
    minimum: int = 20
    failure_rate: float = 0.5
    slow_call: float = 8.0
    slow_rate: float = 0.8
    open_for: float = 5.0
    longest: float = 120.0
    # A probe that has not come back by then is taken for lost, with its process.
    probe_lease: float = 15.0


class _Ignored(BaseException):
    """Carries an error past aiobreaker, which would count it as a success or as a failure."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Breaker(CircuitBreakerListener):  # type: ignore[misc]  # untyped package
    """Guards the calls to one provider.

    Args:
        clock: monotonic seconds, for tests.
        jitter: stretches an open time, so that replicas do not return in step.
    """

    def __init__(
        self,
        name: str,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = lambda s: s * random.uniform(0.8, 1.2),  # noqa: S311
    ) -> None:
        self.name = name
        self.policy = policy or Policy()
        self._clock, self._jitter = clock, jitter
        self._calls: deque[tuple[float, bool, bool]] = deque(maxlen=10_000)
        self._circuit = CircuitBreaker(
            fail_max=self.policy.consecutive,
            # Reopening goes by our clock; its own must never let a call through.
            timeout_duration=timedelta(days=1),
            listeners=[self],
        )
        self._open_until = 0.0
        self._openings = 0
        self._probe_until = 0.0
        self._paused_until = 0.0
        self.cause = ""
        self.successes = 0
        metrics.breaker_state.labels(name).set(0)

    @property
    def state(self) -> State:
        return _STATES[self._circuit.current_state]

    @property
    def failures(self) -> int:
        """Failed calls in the window."""
        self._forget()
        return sum(failed for _, failed, _ in self._calls)

    @property
    def retry_in(self) -> float:
        """Seconds until the provider may be asked again; 0 if it may be now."""
        until = self._paused_until
        if self.state != "FECHADO":
            until = max(until, self._open_until, self._probe_until)
        return max(0.0, until - self._clock())

    async def call(self, function: Callable[[], Awaitable[Result]]) -> Result:
        """Make one call through the breaker.

        Raises:
            CircuitOpen: it was not made.
            Failure: what the call raised; only an Outage counts against the provider.
        """
        probing = self._admit()
        try:
            result: Result = await self._circuit.call_async(self._timed, function)
        except CircuitBreakerError as tripped:
            raise tripped.__cause__ or tripped from None
        except _Ignored as ignored:
            raise ignored.error from None
        else:
            return result
        finally:
            if probing:
                self._end_probe()

    def check(self) -> None:
        """Whether a call may be tried; cheap, so that nothing is spent on one that may not.

        Raises:
            CircuitOpen: it may not.
        """
        if self.retry_in > 0:
            raise CircuitOpen(self.retry_in, self.cause)

    def pause(self, seconds: float, cause: str) -> None:
        """Make no call for a while, because the provider said so. Not a failure of it."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        self.cause = cause

    def trip(self, cause: str) -> None:
        """Open at once: every further call would fail alike."""
        self.cause = cause
        self._circuit.open()

    def _admit(self) -> bool:
        """Let the call pass, or raise. Returns whether it is the probe."""
        self.check()
        if self._circuit.current_state is CircuitBreakerState.CLOSED:
            return False
        self._probe_until = self._clock() + self.policy.probe_lease
        self._circuit.half_open()
        return True

    def _end_probe(self) -> None:
        """Release the lease whatever became of the probe; one without a verdict proves nothing."""
        self._probe_until = 0.0

    async def _timed(self, function: Callable[[], Awaitable[Result]]) -> Result:
        began = self._clock()
        try:
            result = await function()
        except Outage as error:
            self._note(began, failed=True)
            self.cause = error.reason
            raise
        except Failure as error:
            # It answered, so it lives: for the window a success, for the rest no matter.
            self._note(began, failed=False)
            if self._circuit.current_state is CircuitBreakerState.HALF_OPEN:
                self._circuit.close()
            raise _Ignored(error) from None
        except Exception as error:
            raise _Ignored(error) from None
        self._note(began, failed=False)
        self.successes += 1
        return result

    def _note(self, began: float, *, failed: bool) -> None:
        now = self._clock()
        self._calls.append((now, failed, now - began >= self.policy.slow_call))
        self._forget()
        total = len(self._calls)
        if self._circuit.current_state is not CircuitBreakerState.CLOSED:
            return
        if total < self.policy.minimum:
            return
        failing = sum(failed for _, failed, _ in self._calls) / total
        slow = sum(slow for _, _, slow in self._calls) / total
        if failing >= self.policy.failure_rate or slow >= self.policy.slow_rate:
            self.cause = "failure_rate" if failing >= self.policy.failure_rate else "slow_calls"
            self._circuit.open()

    def _forget(self) -> None:
        edge = self._clock() - self.policy.window
        while self._calls and self._calls[0][0] <= edge:
            self._calls.popleft()

    def state_change(
        self,
        breaker: CircuitBreaker,
        old: CircuitBreakerBaseState,
        new: CircuitBreakerBaseState,
    ) -> None:
        """aiobreaker's word that the state changed."""
        if old.state is new.state:
            return
        if new.state is CircuitBreakerState.OPEN:
            length = min(self.policy.open_for * 2**self._openings, self.policy.longest)
            self._open_until = self._clock() + self._jitter(length)
            self._openings += 1
        elif new.state is CircuitBreakerState.CLOSED:
            self._openings = 0
            self._calls.clear()
            self.cause = ""
        state = _STATES[new.state]
        metrics.breaker_state.labels(self.name).set(_GAUGE[state])
        metrics.breaker_transitions.labels(self.name, state).inc()
