"""Calls for what a stage can do without: now, or not at all.

A provider's limits know no extras, so such a call takes a permit of the provider's credential like
any other, and one of the stage's queue: whoever set that limit set it for the stage's provider. But
it waits for neither, and no order waits for it. Nor is it made for a lookup that has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from enricher.breaker import Breaker
from enricher.call import Wanted
from enricher.failures import Failure, OutOfTime
from enricher.permits import Permits
from enricher.providers.base import Provider
from shared.errors import StoreUnavailable
from shared.limits import Limit, Limiter, Permit

Result = TypeVar("Result")

# Seconds anybody waits for an extra. The fetch goes on without them, so the next one has it.
PATIENCE: Final = 0.25


class Unwanted(OutOfTime):
    """Nobody waits any more for what `wanted` was asked about."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__("nobody waits any more")
        self.wanted = wanted


@dataclass(frozen=True)
class Extra:
    """A provider's extra calls, under its breaker. `limit` is the one of the stage's queue."""

    provider: Provider
    breaker: Breaker
    limiter: Limiter
    limit: Limit

    async def call(self, function: Callable[[], Awaitable[Result]], wanted: Wanted) -> Result:
        """Make one call.

        Args:
            wanted: whether anybody still waits for it; asked only where it can be made.

        Raises:
            Failure: what the call raised, or NotCalled where there is no permit for it now.
            Unwanted: nobody waits.
            StoreUnavailable: nobody knows, or the permits grew too old.
        """
        self.breaker.check()
        permits = Permits(
            self.limiter, Permit(self.limit, used=True), _waits, mark=_bills, unmark=_refused
        )
        granted = await permits.take(self.provider, by=0, quota_by=0)
        try:
            if not await wanted():
                raise Unwanted(wanted)

            async def made() -> Result:
                await permits.use(granted, self.provider)
                with permits.answering(granted):
                    return await function()

            return await self.breaker.call(made)
        finally:
            await asyncio.shield(permits.settle(*granted))


async def soon(ask: Callable[[Wanted], Awaitable[Result]], wanted: Wanted) -> Result | None:
    """An extra that several may ask for together, if it is to be had, and soon."""
    try:
        async with asyncio.timeout(PATIENCE):
            try:
                return await ask(wanted)
            except Unwanted as unwanted:
                if unwanted.wanted is wanted:
                    return None
                # What has ended is the lookup that asked first, not this one.
                return await ask(wanted)
    except (Failure, StoreUnavailable, TimeoutError):
        return None


async def _waits(_: float) -> None:
    raise AssertionError("nobody waits for an extra")


async def _bills(_: str) -> str:
    raise AssertionError("no extra is billed")


async def _refused(_: str, __: str) -> None:
    """Nobody looks whether an extra was asked for before."""
