"""One provider's answer to one query: retry(permits, breaker(timeout(HTTP))).

The retry is outermost, so that every try asks the breaker and counts in it: around the retry, a
breaker would see one failure in place of four, and learn of an outage four times as late. The
permits stand outside the breaker, which would take the wait for one for a slow provider.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import backoff

from enricher.breaker import Breaker
from enricher.failures import Outage, TimedOut
from enricher.permits import OutOfTime, Permits
from enricher.providers.base import Answer, Provider, Query
from shared import metrics

# 1, 2, 4, 8 s between five tries where nobody else can be asked; else the next provider is
# worth more than a third retry.
TRIES_ALONE: Final = 5
TRIES_WITH_FALLBACK: Final = 3

Wanted = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Guarded:
    """A provider behind its breaker."""

    provider: Provider
    breaker: Breaker

    async def ask(
        self,
        query: Query,
        permits: Permits,
        *,
        deadline: float,
        alone: bool,
        wanted: Wanted,
    ) -> Answer:
        """Ask until there is an answer, or no sense in asking on.

        Args:
            deadline: Unix seconds by which the stage has to end.
            alone: no other provider is left to ask.
            wanted: whether anybody still waits; asked before each call but the first.

        Raises:
            Failure: the last one, or CircuitOpen.
        """
        name = self.provider.name

        async def attempt() -> Answer:
            return await self._once(query, permits, deadline, alone=alone, wanted=wanted)

        def hopeless(_: Exception) -> bool:
            # A billed call that broke off may have been carried out all the same.
            return self.provider.billed or time.time() >= deadline

        def count(details: object) -> None:
            error = details["exception"] if isinstance(details, dict) else None
            metrics.retries.labels(name, getattr(error, "reason", "failure")).inc()

        retrying = backoff.on_exception(
            backoff.expo,
            Outage,
            max_tries=TRIES_ALONE if alone else TRIES_WITH_FALLBACK,
            max_value=8,
            max_time=max(0.0, deadline - time.time()),
            jitter=backoff.full_jitter,
            giveup=hopeless,
            on_backoff=count,
            logger=None,
        )
        answer: Answer = await retrying(attempt)()
        return answer

    async def _once(
        self, query: Query, permits: Permits, deadline: float, *, alone: bool, wanted: Wanted
    ) -> Answer:
        self.breaker.check()
        # Where somebody else can be asked, nobody waits for this credential's quota.
        quota = await permits.quota(self.provider.rate, deadline if alone else 0)
        granted = [quota]
        try:
            granted.append(await permits.next(deadline))
            if granted[-1] is not permits.first and not await wanted():
                raise OutOfTime("nobody waits any more")

            async def fetch() -> Answer:
                for permit in granted:
                    permit.used = True
                limit = min(self.provider.timeout, max(0.05, deadline - time.time()))
                try:
                    return await asyncio.wait_for(self.provider.fetch(query), limit)
                except TimeoutError:
                    raise TimedOut("no answer in time") from None

            return await self.breaker.call(fetch)
        finally:
            await asyncio.shield(permits.settle(*granted))
