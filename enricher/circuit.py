"""A breaker whose replicas hear of each other: when not to call, and who makes the probe.

Without that each replica would burn calls, and quota, to learn what another knows. The windows
stay local, and so do all decisions while Redis is away.
"""

from collections.abc import Callable
from contextlib import suppress

from aiobreaker.state import CircuitBreakerState

from enricher.breaker import Breaker
from enricher.failures import PAUSES
from enricher.policy import Policy
from shared.circuits import Board, Known, Leave
from shared.errors import StoreUnavailable


class Circuit(Breaker):
    """One replica's end of a circuit. `board` is where they meet; the rest is as for Breaker."""

    def __init__(
        self,
        name: str,
        board: Board,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float],
        jitter: Callable[[float], float],
    ) -> None:
        super().__init__(name, policy, clock=clock, jitter=jitter)
        self._board = board
        # Counts what this replica has told: what was read before that is out of date.
        self._told = 0

    @property
    def version(self) -> tuple[int, int]:
        """Differs once this replica knows more than it did."""
        return self.era, self._told

    async def tell(self) -> None:
        """Let the others know of an opening they could not be told of at the time."""
        if self._untold:
            await self._tell("")

    def adopt(self, known: Known) -> None:
        """Go by what all replicas know, unless this one is just finding out more."""
        self.forced = known.forced
        if self._probe or self._untold or known.is_open is None:
            return
        if known.is_open:
            self._follow(known.open_for, known.probing_for, known.openings, known.cause)
        elif self._circuit.current_state is not CircuitBreakerState.CLOSED:
            self._circuit.close()

    async def _agree(self, probe: str) -> None:
        leave = Leave("granted")
        # Without Redis there is nobody to agree with, so this replica decides.
        with suppress(StoreUnavailable):
            leave = await self._board.ask(self.name, probe, self.policy.probe_lease)
        if self._probe != probe:
            self.check()  # the circuit has changed in the meantime
        elif leave.verdict == "granted":
            self._circuit.half_open()
        elif leave.verdict == "closed":
            self._probe = ""
            self._circuit.close()
        else:
            self._probe = ""
            waits = (leave.seconds, 0.0) if leave.verdict == "open" else (0.0, leave.seconds)
            self._follow(*waits, leave.openings, leave.cause)
            self.check()

    def _follow(self, open_for: float, probing_for: float, openings: int, cause: str) -> None:
        """Be open as another replica said."""
        state, now, kept_until = self._circuit.current_state, self._clock(), self._kept_until
        if state is CircuitBreakerState.CLOSED or (
            state is CircuitBreakerState.HALF_OPEN and open_for > 0
        ):
            self._circuit.open()
        self._open_until, self._probe_until = now + open_for, now + probing_for
        self._openings, self.cause, self._untold = openings, cause, False
        failing = open_for > 0 and cause not in PAUSES
        self._kept_until = self._open_until + self.policy.probe_grace if failing else kept_until
        self._pulse()

    async def _tell(self, probe: str) -> None:
        untold, self._untold = self._untold, False
        try:
            if untold:
                left = max(0.0, self._open_until - self._clock())
                await self._board.open(
                    self.name, left, openings=self._openings, cause=self.cause, probe=probe
                )
            else:
                await self._board.release(self.name, probe, well=self._well == probe)
        except StoreUnavailable:
            self._untold |= untold
        finally:
            self._told += 1
            # After the others' lease: else a call of this replica would be told to wait for it.
            self._free(probe)
