"""A permit for every call to a provider: the queue's limit counts tries, not lookups."""

import asyncio
import time
from dataclasses import dataclass
from uuid import uuid4

from enricher.failures import TimedOut
from shared.errors import StoreUnavailable
from shared.limits import Limiter, Permit


class OutOfTime(TimedOut):
    """The lookup's time was up before the call could be made."""


@dataclass
class Permits:
    """The permits of one stage order.

    The first was given before its message was taken; a further try waits for one of its own.
    """

    limiter: Limiter
    first: Permit

    async def next(self, deadline: float) -> Permit:
        """A permit, marked as used: the call follows at once.

        Args:
            deadline: Unix seconds at which waiting is pointless.

        Raises:
            OutOfTime: none came free in time.
        """
        if not self.first.used:
            self.first.used = True
            return self.first
        permit = Permit(self.first.limit, uuid4().hex, used=True)
        while True:
            try:
                retry_at = await self.limiter.acquire(permit.limit, permit.id)
            except StoreUnavailable:
                retry_at = time.time() + 1.0
            if not retry_at:
                return permit
            if retry_at >= deadline:
                raise OutOfTime("no permit in time")
            await asyncio.sleep(max(0.0, retry_at - time.time()))

    async def settle(self, permit: Permit) -> None:
        """The call is over. The first permit is settled by whoever took the message."""
        if permit is not self.first:
            await self.limiter.settle(permit)
