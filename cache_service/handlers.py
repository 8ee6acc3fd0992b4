"""What the cache_service does with each message."""

import logging
import re
from dataclasses import dataclass
from typing import Final

from shared.consumer import Delivery
from shared.errors import InvalidInput, Undecodable
from shared.flow.ending import Endings
from shared.flow.planner import Planner
from shared.lookups import Lookups
from shared.messages import Requested, decode
from shared.topology import REQUESTED, Queue

log = logging.getLogger(__name__)

REFUSAL_S: Final = 30.0
_ORIGIN: Final = re.compile(rb'"origem"\s*:\s*"([A-Za-z0-9_.-]{1,160})"')


@dataclass(frozen=True)
class Handlers:
    """Starts lookups."""

    planner: Planner
    lookups: Lookups
    endings: Endings

    async def on_requested(self, request: Requested, delivery: Delivery) -> None:
        """A lookup was asked for."""
        # The broker's word for the priority; the body's is for those who publish without it.
        request.priority = delivery.priority or request.priority
        try:
            await self.planner.plan(request)
        except InvalidInput as error:
            raise Undecodable(str(error), request.task_id) from None

    async def on_dead(self, queue: Queue, body: bytes, task: str, reason: str) -> None:
        """A lookup whose message is buried ends in an `error`, as far as its asker is known."""
        if queue == REQUESTED and task:
            await self._refuse(body, task, reason)
        elif queue == REQUESTED:
            # Well formed, and so the fault is ours.
            request = decode(body, Requested)
            await self.lookups.accept(
                request.task_id, request.deadline, origin=request.origin, kind=request.kind
            )
            await self.endings.refuse(request.task_id, "erro_interno")

    async def _refuse(self, body: bytes, task: str, reason: str) -> None:
        """Of a request that cannot be read, the asker may still be told."""
        origin = _ORIGIN.search(body[:100_000])
        if origin is None:
            return
        view = await self.lookups.view(task)
        if view is not None and "digest" in view.lookup and "alone" not in view.lookup:
            return  # a bad copy of a request that was good
        # Longer than it takes to say so: else whoever sweeps would say something else first.
        await self.lookups.accept(task, REFUSAL_S, origin=origin.group(1).decode())
        await self.endings.refuse(task, "pedido_invalido", reason)
