"""The breaker against a model of its state machine: any calls, in any order, ending in any way."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enricher.breaker import Breaker
from enricher.failures import (
    BadCredential,
    CircuitOpen,
    CutShort,
    Failure,
    NotFound,
    RateLimited,
    Rejected,
    ServerError,
    Unavailable,
)
from enricher.policy import Policy

POLICY = Policy(
    consecutive=3, window=60, minimum=6, failure_rate=0.5, open_for=5, longest=40, slow_call=1e9
)
OUTCOMES: dict[str, Failure | None] = {
    "answer": None,
    "absent": NotFound(),
    "outage": ServerError("500"),
    "unsure": NotFound(confirmed=False),
    "refused": Rejected("400"),
    "cut short": CutShort("up"),
    "limited": RateLimited(7),
    "unavailable": Unavailable(7),
    "credential": BadCredential("401"),
}


@dataclass
class Begun:
    """A call under way."""

    at: float
    era: int
    probe: bool
    task: asyncio.Task[Any]
    end: asyncio.Future[str]


@dataclass
class Model:
    """What the breaker is to be, as plainly as it can be said."""

    now: float = 1000.0
    state: str = "closed"
    era: int = 0
    row: int = 0
    seen: list[tuple[float, bool]] = field(default_factory=list)
    openings: int = 0
    open_until: float = 0.0
    kept_until: float = 0.0
    probe: Begun | None = None
    lease_until: float = 0.0

    @property
    def wait(self) -> float:
        if self.state == "closed":
            return 0.0
        return max(0.0, self.open_until - self.now, self.lease_until - self.now)

    @property
    def hurried_wait(self) -> float:
        kept = self.kept_until - self.now if self.state != "closed" else 0.0
        return max(self.wait, kept)

    def close(self) -> None:
        self.state, self.row, self.openings, self.seen = "closed", 0, 0, []
        self.era += 1
        self.probe, self.lease_until = None, 0.0

    def open(self, seconds: float | None = None) -> None:
        if seconds is None:
            seconds = min(POLICY.open_for * 2**self.openings, POLICY.longest)
            self.openings += 1
            self.kept_until = self.now + seconds + POLICY.probe_grace
        elif self.state == "open" and self.now + seconds <= self.open_until:
            return
        else:
            self.kept_until = 0.0
        self.state, self.open_until = "open", self.now + seconds
        self.era += 1
        self.probe, self.lease_until = None, 0.0

    def ended(self, call: Begun, outcome: str) -> None:
        verdict = {"answer": False, "absent": False, "outage": True, "unavailable": True}.get(
            outcome
        )
        on_time = call.era == self.era
        if verdict is not None:
            self.seen.append((self.now, verdict))
        if outcome == "limited":
            self.open(7)
        elif outcome == "credential" and on_time:
            self.open(POLICY.longest)
        elif on_time and verdict is not None:
            self.judge(failed=verdict)
        if outcome == "unavailable":
            self.open(7)
        if call.probe and outcome == "cut short":
            self.kept_until = self.now + POLICY.probe_grace
        if self.probe is call:
            self.probe, self.lease_until = None, 0.0

    def judge(self, *, failed: bool) -> None:
        if self.state == "half-open":
            return self.open() if failed else self.close()
        self.row = self.row + 1 if failed else 0
        recent = [bad for at, bad in self.seen if at > self.now - POLICY.window]
        if self.row >= POLICY.consecutive or (
            len(recent) >= POLICY.minimum and sum(recent) / len(recent) >= POLICY.failure_rate
        ):
            self.open()
        return None


class Machine(RuleBasedStateMachine):
    """Calls begin, end and are cancelled while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.loop = asyncio.new_event_loop()
        self.breaker = Breaker("model", POLICY, clock=lambda: self.model.now, jitter=lambda s: s)
        self.calls: list[Begun] = []

    def teardown(self) -> None:
        for call in self.calls:
            call.task.cancel()
        self.settle()
        self.loop.close()

    def settle(self) -> None:
        """Let everybody do what can be done now."""

        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    @rule(hurried=st.booleans())
    def begin(self, *, hurried: bool) -> None:
        end: asyncio.Future[str] = self.loop.create_future()
        reached = False

        async def provider() -> str:
            nonlocal reached
            reached = True
            return await end

        may = (self.model.hurried_wait if hurried else self.model.wait) == 0
        task = self.loop.create_task(self.breaker.call(provider, hurried=hurried))
        self.settle()
        assert reached is may
        if not may:
            assert isinstance(task.exception(), CircuitOpen)
            return
        probing = self.model.state != "closed"
        if self.model.state == "open":
            self.model.state = "half-open"
            self.model.era += 1
        call = Begun(self.model.now, self.model.era, probing, task, end)
        if probing:
            self.model.probe = call
            self.model.lease_until = self.model.now + POLICY.probe_lease
        self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(place=st.integers(0, 10**6), outcome=st.sampled_from(sorted(OUTCOMES)))
    def end(self, place: int, outcome: str) -> None:
        call = self.calls.pop(place % len(self.calls))
        error = OUTCOMES[outcome]
        if error is None:
            call.end.set_result("answer")
        else:
            call.end.set_exception(error)
        self.settle()
        self.model.ended(call, outcome)
        assert call.task.exception() is error

    @rule()
    def fail_in_a_row(self) -> None:
        for _ in range(POLICY.consecutive):
            if self.model.wait == 0:
                self.begin(hurried=False)
                self.end(len(self.calls) - 1, "outage")

    @precondition(lambda self: self.calls)
    @rule(place=st.integers(0, 10**6))
    def cancel(self, place: int) -> None:
        call = self.calls.pop(place % len(self.calls))
        call.task.cancel()
        self.settle()
        assert call.task.cancelled()
        if self.model.probe is call:
            self.model.probe, self.model.lease_until = None, 0.0

    @rule(seconds=st.sampled_from([0.5, 3, 5, 8, 20, 61, 3600]))
    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    @precondition(lambda self: self.model.state != "closed")
    @rule()
    def its_time_comes(self) -> None:
        self.model.now += self.model.wait

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        shown = {"FECHADO": "closed"}.get(self.breaker.state, "open or half-open")
        assert shown == ("closed" if self.model.state == "closed" else "open or half-open")
        assert self.breaker.retry_in == self.model.wait
        assert self.breaker.wait(hurried=True) == self.model.hurried_wait

    @invariant()
    def one_probe_at_a_time(self) -> None:
        leased = [
            call
            for call in self.calls
            if call.probe
            and call.era == self.model.era
            and self.model.now < call.at + POLICY.probe_lease
        ]
        assert len(leased) <= 1


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBreakerModel = Machine.TestCase
