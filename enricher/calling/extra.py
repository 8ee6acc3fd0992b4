"""Calls for what a stage can do without: now, or not at all.

A provider's limits know no extras, so such a call takes a permit of the provider's credential like
any other, and one of the stage's queue: whoever set that limit set it for the stage's provider. But
it waits for neither, and no order waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from enricher.breaker import Breaker
from enricher.permits import Permits
from enricher.providers.base import Provider
from shared.limits import Limit, Limiter, Permit

Result = TypeVar("Result")


@dataclass(frozen=True)
class Extra:
    """A provider's extra calls, under its breaker. `limit` is the one of the stage's queue."""

    provider: Provider
    breaker: Breaker
    limiter: Limiter
    limit: Limit

    async def call(self, function: Callable[[], Awaitable[Result]]) -> Result:
        """Make one call.

        Raises:
            Failure: what the call raised, or NotCalled where there is no permit for it now.
            StoreUnavailable: the permits grew too old.
        """
        self.breaker.check()
        permits = Permits(
            self.limiter, Permit(self.limit, used=True), _waits, mark=_bills, unmark=_refused
        )
        granted = await permits.take(self.provider, by=0, quota_by=0)
        try:

            async def made() -> Result:
                await permits.use(granted, self.provider)
                with permits.answering(granted):
                    return await function()

            return await self.breaker.call(made)
        finally:
            await asyncio.shield(permits.settle(*granted))


async def _waits(_: float) -> None:
    raise AssertionError("nobody waits for an extra")


async def _bills(_: str) -> str:
    raise AssertionError("no extra is billed")


async def _refused(_: str, __: str) -> None:
    """Nobody looks whether an extra was asked for before."""
