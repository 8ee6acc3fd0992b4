"""A circuit breaker per provider: aiobreaker's states, and what they lack for our use.

aiobreaker counts consecutive failures and knows closed, open and half-open. Around it stand:
failure rate and slow-call rate over a sliding window; one probe at a time when half-open, where
aiobreaker lets every waiting call through; open times that grow, with jitter; ignored errors that
are not counted as success; the original error in place of `CircuitBreakerError`; a monotonic
clock, since aiobreaker reckons in naive local time; and pauses, for a provider that asked for one.
`enricher.circuit` adds the other replicas.

What a call proves: an answer (a record, "there is none" from a provider whose word that is, or
"I may not tell") that the provider works, an Outage that it does not. Anything else proves
nothing, such as a call cut short by its asker, and so does one that began before the circuit last
changed. A `hurried` call has less than the provider's own time.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar
from uuid import uuid4

from aiobreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerListener
from aiobreaker.state import CircuitBreakerBaseState, CircuitBreakerState

from enricher.failures import (
    BadCredential,
    Challenged,
    CircuitOpen,
    CutShort,
    NotCalled,
    Outage,
    RateLimited,
    Unavailable,
    is_outage,
)
from enricher.policy import Policy, spread
from enricher.window import Window
from shared import metrics
from shared.circuits import Forced, Report, State
from shared.messages import instant

Result = TypeVar("Result")

_CLOSED: Final = CircuitBreakerState.CLOSED
_OPEN: Final = CircuitBreakerState.OPEN
_HALF_OPEN: Final = CircuitBreakerState.HALF_OPEN
_STATES: Final[dict[CircuitBreakerState, State]] = {
    _CLOSED: "FECHADO",
    _OPEN: "ABERTO",
    _HALF_OPEN: "MEIO_ABERTO",
}
_GAUGE: Final[dict[State, int]] = {"FECHADO": 0, "MEIO_ABERTO": 1, "ABERTO": 2}
# Doubling further than this only overflows.
_DOUBLINGS: Final = 16


class _Aside(BaseException):
    """Carries an outcome past aiobreaker, which would count it as a success or as a failure."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome


class Breaker(CircuitBreakerListener):  # type: ignore[misc]  # untyped package
    """Guards the calls to one provider.

    Args:
        clock: monotonic seconds, for tests.
        jitter: stretches open times.
    """

    def __init__(
        self,
        name: str,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = spread,
    ) -> None:
        self.name = name
        self.policy = policy or Policy()
        self._clock, self._jitter = clock, jitter
        self.window = Window(self.policy.window, self.policy.slow_call, clock)
        self._circuit = CircuitBreaker(
            fail_max=self.policy.consecutive,
            # Reopening goes by our clock; its own must never let a call through.
            timeout_duration=timedelta(days=1),
            listeners=[self],
        )
        self._open_until = 0.0
        self._openings = 0
        # The probe of this replica, the one that closed the circuit last, and the end of a lease,
        # be it this replica's or another's.
        self._probe = self._well = ""
        self._probe_until = 0.0
        # Until then the probe is kept for a call that is not hurried.
        self._kept_until = 0.0
        # Whether the others have still to hear of the last opening.
        self._untold = False
        self._changed = asyncio.Event()
        self.forced: Forced = ""
        # Counts the changes of the circuit: what began before has no say in what it is now.
        self.era = 0
        self.cause = ""
        self.successes = self.failures = 0
        metrics.breaker_state.labels(name).set(0)

    @property
    def state(self) -> State:
        """ABERTO while calls are refused, MEIO_ABERTO once the next call is the probe."""
        if self.forced:
            return self.forced
        if self._circuit.current_state is _CLOSED:
            return "FECHADO"
        return "ABERTO" if self._clock() < self._open_until else "MEIO_ABERTO"

    @property
    def retry_in(self) -> float:
        """Seconds until the provider may be asked again; 0 if it may be now."""
        return self.wait()

    def wait(self, *, hurried: bool = False) -> float:
        """The same; a hurried call may have to wait longer."""
        if self.forced:
            return math.inf if self.forced == "ABERTO" else 0.0
        if self._circuit.current_state is _CLOSED:
            return 0.0
        kept_until = self._kept_until if hurried else 0.0
        return max(0.0, max(self._open_until, self._probe_until, kept_until) - self._clock())

    def report(self) -> Report:
        """How it stands, for whoever watches."""
        state, left = self.state, self._open_until - self._clock()
        metrics.breaker_state.labels(self.name).set(_GAUGE[state])
        return Report(
            state=state,
            failures=self.failures,
            successes=self.successes,
            cause=self.cause,
            reopens=instant(time.time() + left) if state == "ABERTO" and left > 0 else None,
        )

    def check(self, *, hurried: bool = False) -> None:
        """Whether a call may be tried; cheap, so that nothing is spent on one that may not.

        Raises:
            CircuitOpen: it may not.
        """
        if (left := self.wait(hurried=hurried)) > 0:
            raise CircuitOpen(left, "forced" if self.forced else self.cause)

    async def ready(self, within: float, *, hurried: bool = False) -> bool:
        """Wait, at most so many seconds, until a call may be tried. False if it may not then."""
        end = self._clock() + within
        while (left := self.wait(hurried=hurried)) > 0:
            rest = end - self._clock()
            if rest <= 0 or self.forced or self._open_until > end:
                return False
            try:
                async with asyncio.timeout(min(left, rest)):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return True

    async def call(
        self, function: Callable[[], Awaitable[Result]], *, hurried: bool = False
    ) -> Result:
        """Make one call through the breaker.

        Raises:
            CircuitOpen: it was not made.
            Failure: what the call raised; only an Outage counts against the provider.
        """
        probe = self._admit(hurried=hurried)
        try:
            if probe:
                await self._agree(probe)
            outcome = await self._make(function)
            if probe and isinstance(outcome, CutShort):
                self._kept_until = self._clock() + self.policy.probe_grace
            elif isinstance(outcome, Unavailable) and not self.forced:
                # Counted by now: what it opened by itself may be longer.
                self._open(outcome.reason, outcome.retry_after)
        finally:
            if probe or self._untold:
                # To the end, even where this call is cancelled: the others wait for it.
                await asyncio.shield(self._tell(probe))
        if isinstance(outcome, Exception):
            raise outcome
        result: Result = outcome
        return result

    def _admit(self, *, hurried: bool) -> str:
        """Let the call pass, or raise. Returns the probe's id if it is to be one."""
        self.check(hurried=hurried)
        if self.forced or self._circuit.current_state is _CLOSED:
            return ""
        # At once, so that of all calls of this moment one asks the others, and none follows it.
        self._probe = uuid4().hex
        self._probe_until = self._clock() + self.policy.probe_lease
        return self._probe

    async def _agree(self, _: str) -> None:
        """A probe is about to be made. Raises CircuitOpen if it may not."""
        self._circuit.half_open()

    async def _tell(self, probe: str) -> None:
        """A probe is over, or the circuit has opened: let the next probe go when its time comes."""
        self._untold = False
        self._free(probe)

    def _free(self, probe: str) -> None:
        """Give up a lease that no change of the circuit has ended: the probe proved nothing."""
        if probe and self._probe == probe:
            self._probe, self._probe_until = "", 0.0
            self._pulse()

    async def _make(self, function: Callable[[], Awaitable[Result]]) -> Any:
        """The call. Its outcome is shown to aiobreaker as far as it proves something."""
        call = self._watched if self.forced else partial(self._circuit.call_async, self._watched)
        try:
            return await call(function)
        except CircuitBreakerError as tripped:
            return tripped.__cause__ or CircuitOpen(self.retry_in, self.cause)
        except Outage as outage:
            return outage
        except _Aside as aside:
            return aside.outcome

    async def _watched(self, function: Callable[[], Awaitable[Result]]) -> Any:
        era, began = self.era, self._clock()
        outcome: Any
        try:
            outcome = await function()
        except asyncio.CancelledError:
            self.window.add(self._clock() - began, failed=None, given_up=True)
            raise
        except Exception as error:
            outcome = error
        failed = is_outage(outcome)
        if not isinstance(outcome, CutShort | NotCalled):
            # Not even as a duration: short ones would have others taken for unusually slow.
            self.window.add(self._clock() - began, failed=failed)
        self.successes += failed is False
        self.failures += failed is True
        if not self.forced:
            self._heed(outcome, is_late=self.era != era)
        if failed is None or self.forced or self.era != era:
            raise _Aside(outcome)
        if failed:
            self.cause = outcome.reason
        self._judge()
        if failed:
            raise outcome
        return outcome

    def _heed(self, outcome: Any, *, is_late: bool) -> None:
        """Some answers say by themselves that no call should follow."""
        if isinstance(outcome, RateLimited):
            self._open(outcome.reason, outcome.retry_after)
        elif isinstance(outcome, BadCredential | Challenged) and not is_late:
            self._open(outcome.reason, self._jitter(self.policy.longest))

    def _judge(self) -> None:
        if self._circuit.current_state is not _CLOSED:
            return
        window, policy = self.window, self.policy
        if window.decided >= policy.minimum and window.failure_rate >= policy.failure_rate:
            self.cause = "failure_rate"
        elif window.timed >= policy.minimum and window.slow_rate >= policy.slow_rate:
            self.cause = "slow_calls"
        else:
            return
        self._circuit.open()

    def _open(self, cause: str, seconds: float) -> None:
        """Make no call for so long, unless none is made for longer anyway."""
        until, is_open = self._clock() + seconds, self._circuit.current_state is _OPEN
        if is_open and until <= self._open_until:
            return
        if not is_open:
            openings = self._openings
            self._circuit.open()
            # It grows with failed probes, not with what a provider asks for.
            self._openings = openings
        self.cause, self._open_until, self._untold = cause, until, True
        self._kept_until = 0.0
        self.era += 1

    def _pulse(self) -> None:
        self._changed.set()
        self._changed.clear()

    def state_change(
        self,
        breaker: CircuitBreaker,
        old: CircuitBreakerBaseState,
        new: CircuitBreakerBaseState,
    ) -> None:
        """aiobreaker's word that the state changed."""
        if old.state is new.state:
            return
        self.era += 1
        if new.state is _OPEN:
            length = self.policy.open_for * 2 ** min(self._openings, _DOUBLINGS)
            self._open_until = self._clock() + self._jitter(min(length, self.policy.longest))
            self._kept_until = self._open_until + self.policy.probe_grace
            self._openings += 1
            self._untold = True
        elif new.state is _CLOSED:
            self._well, self._openings, self._open_until = self._probe, 0, 0.0
            self.window.clear()
            self.cause = ""
        if new.state is not _HALF_OPEN:
            self._probe, self._probe_until = "", 0.0
            self._pulse()
        metrics.breaker_transitions.labels(self.name, _STATES[new.state]).inc()
        metrics.breaker_state.labels(self.name).set(_GAUGE[_STATES[new.state]])
