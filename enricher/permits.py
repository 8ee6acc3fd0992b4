"""A permit for every call to a provider: limits count tries, not lookups.

Two limits apply to a call: the one of the stage's queue, and the one of the provider's credential
(`PROVIDER_<NAME>_RATE`), which every process that uses this credential shares.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from enricher.failures import OutOfQuota, OutOfTime
from shared.errors import StoreUnavailable
from shared.limits import Limit, Limiter, Permit

log = logging.getLogger(__name__)


@dataclass
class Permits:
    """The permits of one stage order.

    The first was given before its message was taken, and serves the first call that is made;
    a further one waits for a permit of its own.
    """

    limiter: Limiter
    first: Permit
    # Told the time (Unix seconds) a wait will end, before it begins.
    on_wait: Callable[[float], Awaitable[None]]

    async def next(self, deadline: float) -> Permit:
        """A permit of the queue's limit.

        Args:
            deadline: Unix seconds at which waiting is pointless.

        Raises:
            OutOfTime: none came free in time.
        """
        if not self.first.used:
            return self.first
        permit = Permit(self.first.limit, uuid4().hex)
        if not await self._wait(permit, deadline):
            raise OutOfTime("no permit in time")
        return permit

    async def quota(self, limit: Limit, deadline: float) -> Permit:
        """A permit of a credential's limit; a deadline that has passed means: now or not at all.

        Raises:
            OutOfQuota: none came free in time.
        """
        permit = Permit(limit, uuid4().hex)
        if not await self._wait(permit, deadline):
            raise OutOfQuota("no quota in time")
        return permit

    async def settle(self, *permits: Permit) -> None:
        """The call is over. The first permit is settled by whoever took the message."""
        for permit in permits:
            if permit is not self.first:
                try:
                    await self.limiter.settle(permit)
                except StoreUnavailable:
                    # It comes back by its lease: too late, which is the safe side.
                    log.warning("permit not settled", extra={"limit": permit.limit.name})

    async def _wait(self, permit: Permit, deadline: float) -> bool:
        told = False
        while True:
            try:
                retry_at = await self.limiter.acquire(permit.limit, permit.id)
            except StoreUnavailable:
                retry_at = time.time() + 1.0
            if not retry_at:
                return True
            if retry_at >= deadline:
                return False
            if not told:
                told = True
                await self.on_wait(retry_at)
            await asyncio.sleep(max(0.0, retry_at - time.time()) + 0.0005)
