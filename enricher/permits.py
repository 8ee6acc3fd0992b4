"""A permit for every call to a provider: limits count tries, not lookups.

Two limits apply to a call: the one of the stage's queue, and the one of the provider's credential
(`PROVIDER_<NAME>_RATE`), which every process that uses this credential shares.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from enricher.failures import NO_ANSWER, AskedBefore, Failure, NotCalled, OutOfQuota, OutOfTime
from enricher.providers.base import Provider
from shared.consumer import IN_HAND, PutOff
from shared.errors import StoreUnavailable
from shared.limits import Limiter, Permit

log = logging.getLogger(__name__)

# What an order may come back later than it was put off for: delays are of whole seconds, and the
# more urgent come first.
LATE: Final = 3.0
# Seconds from taking a call's permits to the call: what lies between are a few words with Redis.
AHEAD: Final = 5.0


@dataclass
class Permits:
    """The permits of one stage order.

    The first was given before its message was taken, and serves the first call that is made;
    a further one waits for a permit of its own.
    """

    limiter: Limiter
    first: Permit
    # Told the seconds a wait will take, before it begins.
    on_wait: Callable[[float], Awaitable[None]]
    # Notes that this provider, which bills, is about to be called; gives the call's mark, or none
    # if that was so before.
    mark: Callable[[str], Awaitable[str]]
    # That the call of this mark was not made, or that it said it has not done, nor billed, what it
    # was asked for.
    unmark: Callable[[str, str], Awaitable[None]]
    clock: Callable[[], float] = time.monotonic
    # Calls so far by provider, those made before the order was put off included.
    made: Counter[str] = field(default_factory=Counter)
    # Of the last call by provider.
    _marks: dict[str, str] = field(default_factory=dict)

    async def take(self, provider: Provider, *, by: float, quota_by: float) -> list[Permit]:
        """The permits of one call: of the provider's credential, and of the queue.

        Args:
            by: monotonic seconds at which waiting for the queue's is pointless; what has passed
                means now or not at all.
            quota_by: the same of the credential's.

        Raises:
            OutOfQuota: the credential's did not come free in time.
            OutOfTime: the queue's did not.
            PutOff: one will, but not soon.
        """
        quota = Permit(provider.rate)
        mine = Permit(self.first.limit) if self.first.used else self.first
        try:
            # While one is waited for the other grows old, be it the first, which waited already.
            while not self._last(provider, quota, mine, ahead=AHEAD):
                await self._wait(quota, provider, quota_by, OutOfQuota("no quota in time"))
                await self._wait(mine, provider, by, OutOfTime("no permit in time"))
        except BaseException:
            await asyncio.shield(self.settle(quota, mine))
            raise
        return [quota, mine]

    async def use(self, permits: list[Permit], provider: Provider, *, by: float = math.inf) -> None:
        """The call is made now.

        Args:
            by: monotonic seconds from which on it is too late for it.

        Raises:
            AskedBefore: it may have been made, and billed, before; so it must not be made.
            OutOfTime: what lay between took so long that it is too late.
            StoreUnavailable: the same, for its permits.
        """
        self._check(permits, provider, by)
        if provider.billed:
            mark = await self.mark(provider.name)
            try:
                self._check(permits, provider, by)
            except (OutOfTime, StoreUnavailable):
                if mark:
                    await self.unmark(provider.name, mark)
                raise
            if not mark:
                raise AskedBefore("may have been asked before")
            self._marks[provider.name] = mark
        for permit in permits:
            permit.use()
        self.made[provider.name] += 1

    @contextmanager
    def answering(self, permits: list[Permit]) -> Iterator[None]:
        """Around a call that is made: an answer, be it a refusal, says that it has arrived."""
        is_answered = False
        try:
            yield
            is_answered = True
        except Failure as failure:
            is_answered = not isinstance(failure, NO_ANSWER)
            raise
        finally:
            if is_answered:
                for permit in permits:
                    permit.answered()

    async def refused(self, provider: Provider) -> None:
        """The call was made, and not carried out: it may be made again."""
        if mark := self._marks.pop(provider.name, ""):
            await self.unmark(provider.name, mark)

    async def settle(self, *permits: Permit) -> None:
        """The call is over. The first permit is settled by whoever took the message."""
        for permit in permits:
            if permit is not self.first:
                try:
                    await self.limiter.settle(permit)
                except StoreUnavailable:
                    # It comes back by its lease: too late, which is the safe side.
                    log.warning("permit not settled", extra={"limit": permit.limit.name})

    def _check(self, permits: list[Permit], provider: Provider, by: float) -> None:
        if self.clock() > by:
            raise OutOfTime("no time for a call")
        if not self._last(provider, *permits):
            raise StoreUnavailable("Redis took too long")

    def _last(self, provider: Provider, *permits: Permit, ahead: float = 0.0) -> bool:
        return all(self.limiter.lasts(permit, provider.timeout + ahead) for permit in permits)

    async def _wait(
        self, permit: Permit, provider: Provider, by: float, in_vain: NotCalled
    ) -> None:
        told, patience = False, self.clock() + IN_HAND
        while True:
            try:
                wait = await self.limiter.renew(permit, provider.timeout + AHEAD)
            except StoreUnavailable:
                wait = 1.0
            if not wait:
                return
            till = self.clock() + wait
            if till >= by or (till > patience and till + LATE >= by):
                raise in_vain
            if not told:
                told = True
                await self.on_wait(wait)
            if till > patience:
                raise PutOff(wait)
            # Half a millisecond more than asked for: waking too early costs a round trip.
            await asyncio.sleep(wait + 0.0005)
