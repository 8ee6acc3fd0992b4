"""Whether what was read from Redis a while ago is still so, without asking again.

Redis says what changes (`CLIENT TRACKING`), on the connection that also brings its answers, and
says everything in order: whoever changed something has its answer only after that was told, and a
command that is asked later is answered later. So the newest command that was answered proves all
that had been changed by the moment it was asked, and what was read may be used without a look for
LEASE_S from then on. However the connection ends,
even without a word, nothing is used for longer, and whoever changes something waits for nobody.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from shared.store.connection import Watcher, Wire

log = logging.getLogger(__name__)

LEASE_S: Final = 0.1
# How old the newest proof may be before whoever uses it has it renewed.
RENEW_S: Final = 0.05
# After a refusal to tell what changes, until it is asked for once more.
AGAIN_S: Final = 5.0


class Lease(Watcher):
    """The right to use what was read, for as long as Redis is known to have said what changed.

    Whoever keeps what it reads notes `changes` before, and keeps it only if `changes` is the same
    and the lease `is_on` afterwards: what changed meanwhile may be the very thing it has read. That
    any change counts costs a read of a millisecond, beside 100 changes a second, a tenth of its
    chances to be kept; the next one has them again.

    Args:
        prefix: of the keys whose changes are told, in every database of that Redis.
        look: a command that reads. Redis may refuse a PING where it serves what is read.
        forget: is told each key that changed, or None where any may have.
        clock: the wire's.
    """

    def __init__(
        self,
        prefix: str,
        look: tuple[str, ...],
        forget: Callable[[bytes | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix, self._look, self._forget, self._clock = prefix, look, forget, clock
        self._wire: Wire | None = None
        self.changes = 0
        self.is_on = False

    def holds(self) -> bool:
        """Whether what was kept may be used now. Asking keeps it so: whoever idles is not heard."""
        wire = self._wire
        if wire is None or not self.is_on:
            return False
        now = self._clock()
        if now - wire.proved > LEASE_S:
            return False
        if now - wire.asked >= RENEW_S:
            wire.ask(self._look).add_done_callback(_taken)
        return True

    def made(self, wire: Wire) -> None:
        """Have it told what changes; what is asked after this is read after that has begun."""
        self._wire, self.is_on = wire, False
        self._begin(wire, again=False)

    def pushed(self, message: list[Any]) -> None:
        """A change; of everything, where no key is named."""
        if message[0] == b"invalidate":
            self.changes += 1
            for key in [None] if message[1] is None else message[1]:
                self._forget(key)

    def lost(self) -> None:
        """Nobody says any more what changes."""
        self._wire, self.is_on = None, False
        self.changes += 1
        self._forget(None)

    def _begin(self, wire: Wire, *, again: bool) -> None:
        if wire is self._wire:
            begun = wire.ask(("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self._prefix))
            begun.add_done_callback(partial(self._begun, wire, again))

    def _begun(self, wire: Wire, again: bool, answer: "asyncio.Future[Any]") -> None:
        error = answer.exception()
        if wire is not self._wire:
            return
        if error is None:
            self.is_on = True
            # What was asked in between may have been read before that began.
            self.changes += again
            return
        if not again:
            said = "this Redis does not tell what changes: every hit is read from it"
            log.warning(said, extra={"error": str(error)})
        # It may be busy only, with a script of somebody's.
        begin = partial(self._begin, wire, again=True)
        asyncio.get_running_loop().call_later(AGAIN_S, begin)


def _taken(answer: "asyncio.Future[Any]") -> None:
    """Its answer has done its work by having come."""
    answer.exception()
