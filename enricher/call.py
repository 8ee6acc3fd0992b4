"""One provider's answer to one query: retry(breaker(permit, timeout, HTTP)).

The retry is outermost, so that every try asks the breaker and counts in it: around the retry, a
breaker would see one failure in place of four, and learn of an outage four times as late.
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
        wanted: Callable[[], Awaitable[bool]],
    ) -> Answer:
        """Ask until there is an answer, or no sense in asking on.

        Args:
            deadline: Unix seconds by which the stage has to end.
            alone: no other provider is left to ask.
            wanted: whether anybody still waits; asked before each further try.

        Raises:
            Failure: the last one, or CircuitOpen.
        """
        name = self.provider.name
        tries = 0

        async def attempt() -> Answer:
            nonlocal tries
            tries += 1
            if tries > 1 and not await wanted():
                raise OutOfTime("nobody waits any more")
            return await self.breaker.call(lambda: self._once(query, permits, deadline))

        def hopeless(error: Exception) -> bool:
            # A billed call that broke off may have been carried out all the same.
            late = time.time() >= deadline
            return late or self.provider.billed or isinstance(error, OutOfTime)

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

    async def _once(self, query: Query, permits: Permits, deadline: float) -> Answer:
        permit = await permits.next(deadline)
        try:
            limit = min(self.provider.timeout, max(0.05, deadline - time.time()))
            return await asyncio.wait_for(self.provider.fetch(query), limit)
        except TimeoutError:
            raise TimedOut("no answer in time") from None
        finally:
            await asyncio.shield(permits.settle(permit))
