"""One provider's answer to one query: retry(permits, breaker(timeout(HTTP))).

The retry is outermost, so that every try asks the breaker and counts in it: around the retry, a
breaker would see one failure in place of four, and learn of an outage four times as late. The
permits stand outside the breaker, which would take the wait for one for a slow provider.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import backoff

from enricher.breaker import Breaker
from enricher.budget import RetryBudget
from enricher.failures import (
    PAUSES,
    BadCredential,
    CircuitOpen,
    CutShort,
    Outage,
    OutOfQuota,
    OutOfTime,
    RateLimited,
    StaleCredential,
    TimedOut,
    Unavailable,
)
from enricher.permits import LATE, Permits
from enricher.providers.base import Answer, Provider, Query
from shared import metrics
from shared.consumer import IN_HAND, PutOff

# 1, 2, 4, 8 s between five tries where nobody else can be asked; else the next provider is
# worth more than a third retry.
TRIES_ALONE: Final = 5
TRIES_WITH_FALLBACK: Final = 3
# Seconds of a lookup's time without which no call is made. An answer that is billed is paid for
# whether or not anybody still hears it, so such a call is given more.
LAST_CALL: Final = 0.5
LAST_BILLED_CALL: Final = 3.0
# What a pause leaves beyond that, since waking up takes time too.
_SLACK: Final = 0.05
# Seconds an order waits, where nobody else can be asked, for a provider that said "too many".
PATIENCE: Final = 15.0

# Seconds after which what a call is for may be over: a cancelled lookup, say.
MOMENT: Final = 0.1

Wanted = Callable[[], Awaitable[bool]]
Latest = Callable[[], Awaitable[float]]


@dataclass
class Terms:
    """On what terms a provider is asked.

    `deadline` is when the stage has to end, in monotonic seconds, as far as is known; `wanted`
    tells whether anybody still waits, and is asked before each call but a first whose permits took
    no time. `alone` if no other provider is left to ask: that is worth waiting for. `hedge` if
    another is being asked already: then there is one call, or none if it had to wait for a permit.
    """

    deadline: float
    wanted: Wanted
    # The deadline as it is now.
    latest: Latest | None = None
    alone: bool = False
    hedge: bool = False

    async def prolonged(self) -> bool:
        """Whether somebody with more time has joined, whose deadline counts from now on.

        It is a word with Redis: for where the time that is known of does not suffice.
        """
        if self.latest is None:
            return False
        before = self.deadline
        self.deadline = max(before, await self.latest())
        # What is read anew is never quite the same.
        return self.deadline - before > MOMENT

    @property
    def tries(self) -> int:
        if self.hedge:
            return 1
        return TRIES_ALONE if self.alone else TRIES_WITH_FALLBACK


@dataclass(frozen=True)
class Guarded:
    """A provider behind its breaker. `jitter` makes of the longest pause the one that is made."""

    provider: Provider
    breaker: Breaker
    budget: RetryBudget = field(default_factory=RetryBudget)
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[float], float] = backoff.full_jitter

    async def ask(self, query: Query, permits: Permits, terms: Terms) -> Answer:
        """Ask until there is an answer, or no sense in asking on.

        Raises:
            Failure: the last one, or CircuitOpen.
            PutOff: what it waits for comes in time, but not soon.
        """
        # One that was put off has had its pause.
        came_back = permits.made[self.provider.name] > 0
        while True:
            try:
                return await self._retry(query, permits, terms)
            except (OutOfTime, OutOfQuota):
                if terms.hedge or not await terms.prolonged() or not await terms.wanted():
                    raise
            except (RateLimited, Unavailable) as failure:
                if isinstance(failure, RateLimited):
                    await permits.refused(self.provider)
                # A call that failed for another reason than its number may have been billed.
                if came_back or (self.provider.billed and isinstance(failure, Outage)):
                    raise
                came_back = True
                if not await self._come_back(permits, terms):
                    raise
            except CircuitOpen as circuit:
                if circuit.cause not in PAUSES or not await self._come_back(permits, terms):
                    raise

    async def _retry(self, query: Query, permits: Permits, terms: Terms) -> Answer:
        await self._check(terms)
        self.budget.call()
        failed: Outage | None = None

        async def attempt() -> Answer:
            nonlocal failed
            try:
                try:
                    return await self._once(query, permits, terms)
                except StaleCredential:
                    await permits.refused(self.provider)
                    return await self._once(query, permits, terms, renewed=True)
            except CircuitOpen:
                # It opened during the pause: the failure before says more.
                if failed is None:
                    raise
                raise failed from None
            except Outage as outage:
                failed = outage
                if self._spare(terms) <= 0:
                    await terms.prolonged()
                raise

        def hopeless(_: Exception) -> bool:
            return (
                # A call that broke off may have been carried out, and billed, all the same.
                self.provider.billed
                or isinstance(failed, Unavailable)
                or self.breaker.retry_in > 0
                or self.budget.is_spent
                or self._spare(terms) <= 0
            )

        def count(_: object) -> None:
            self.budget.retry()
            metrics.retries.labels(self.provider.name, getattr(failed, "reason", "")).inc()

        retrying = backoff.on_exception(
            backoff.expo,
            Outage,
            max_tries=max(1, terms.tries - permits.made[self.provider.name]),
            max_value=8,
            jitter=lambda pause: min(self.jitter(pause), self._spare(terms)),
            giveup=hopeless,
            on_backoff=count,
            logger=None,
        )
        answer: Answer = await retrying(attempt)()
        return answer

    async def _come_back(self, permits: Permits, terms: Terms) -> bool:
        """Wait for the end of a pause the provider asked for. False where it is too long.

        Raises:
            PutOff: it is not, but too long to be waited for in hand.
        """
        if not terms.alone or terms.hedge or self.breaker.forced:
            return False
        if self._spare(terms) < PATIENCE + LATE:
            await terms.prolonged()
        hurried = self._hurried(terms)
        wait = self.breaker.wait(hurried=hurried)
        patience = min(PATIENCE, self._spare(terms))
        if patience <= 0:
            return False
        if wait <= patience:
            await permits.on_wait(wait)
        # A short pause, and then as long for whoever makes the probe.
        hold = IN_HAND + (wait if wait <= IN_HAND else 0.0)
        if await self.breaker.ready(min(patience, hold), hurried=hurried):
            return await terms.wanted()
        wait = self.breaker.wait(hurried=hurried)
        if wait > PATIENCE or not await self._has(terms, wait + LATE + self._least + _SLACK):
            return False
        raise PutOff(wait)

    async def _once(
        self, query: Query, permits: Permits, terms: Terms, *, renewed: bool = False
    ) -> Answer:
        self.breaker.check(hurried=self._hurried(terms))
        since = self.clock()
        # Where somebody else can be asked, nobody waits for this credential's quota.
        granted = await permits.take(
            self.provider,
            by=0 if terms.hedge else terms.deadline,
            quota_by=terms.deadline if terms.alone else 0,
        )
        try:
            waited = granted[-1] is not permits.first or self.clock() - since > MOMENT
            if waited and not await terms.wanted():
                raise OutOfTime("nobody waits any more")
            if not await self._has(terms, self._least):
                raise OutOfTime("no time for a call")

            async def fetch() -> Answer:
                # The leave for a probe was a word with Redis, and a mark is: either may take long.
                await permits.use(granted, self.provider, by=terms.deadline - self._least)
                try:
                    with permits.answering(granted):
                        return await self._in_time(self.provider.fetch(query), terms)
                except StaleCredential as stale:
                    if renewed:
                        raise BadCredential("a fresh one is refused too") from stale
                    raise

            return await self.breaker.call(fetch, hurried=self._hurried(terms))
        finally:
            await asyncio.shield(permits.settle(*granted))

    async def _in_time(self, fetching: Coroutine[Any, Any, Answer], terms: Terms) -> Answer:
        """Give a call its time: the provider's, and no more than its askers have.

        Raises:
            TimedOut: it has had the provider's.
            CutShort: its askers had less.
        """
        end = self.clock() + self.provider.timeout
        call = asyncio.ensure_future(fetching)
        try:
            while True:
                # At least something: a loop's clock may be ahead of ours.
                left = max(0.05, min(end, terms.deadline) - self.clock())
                await asyncio.wait({call}, timeout=left)
                if call.done():
                    return call.result()
                if self.clock() >= end:
                    raise TimedOut("no answer in time")
                await terms.prolonged()
                if self.clock() >= terms.deadline and not call.done():
                    raise CutShort("the lookup's time was up")
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    @property
    def _least(self) -> float:
        """Seconds without which no call is made."""
        if self.provider.billed:
            return min(LAST_BILLED_CALL, self.provider.timeout)
        return min(LAST_CALL, self.provider.timeout)

    async def _has(self, terms: Terms, seconds: float) -> bool:
        """Whether so much time is left, be it that of somebody who joined."""
        if self._left(terms) < seconds:
            await terms.prolonged()
        return self._left(terms) >= seconds

    async def _check(self, terms: Terms) -> None:
        """Raises CircuitOpen: nobody who waits may be let through."""
        try:
            self.breaker.check(hurried=self._hurried(terms))
        except CircuitOpen:
            # One who has the provider's own time may be its probe.
            if not self._hurried(terms) or not await terms.prolonged():
                raise
            self.breaker.check(hurried=self._hurried(terms))

    def _hurried(self, terms: Terms) -> bool:
        """Whether a call made now has less than the provider's own time."""
        return self._left(terms) < self.provider.timeout

    def _spare(self, terms: Terms) -> float:
        """Seconds to wait at most, so that there is time for a call afterwards."""
        return self._left(terms) - self._least - _SLACK

    def _left(self, terms: Terms) -> float:
        return terms.deadline - self.clock()
