"""The periodic jobs."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from shared import reach
from shared.cache import Cache
from shared.circuits import Board
from shared.errors import Unavailable
from shared.jobs import CLEANING, HEALTH
from shared.queues import Queues
from shared.schedule import Job
from shared.store import Store

# Seconds it may take to walk over all keys there are.
CLEANING_S: Final = 300.0


@dataclass(frozen=True)
class Jobs:
    """What is done every few hours or minutes."""

    store: Store
    cache: Cache
    queues: Queues

    def all(self) -> list[Job]:
        """Every job with its schedule."""
        return [Job(*CLEANING, self.clean, lease=CLEANING_S), Job(*HEALTH, self.check)]

    async def clean(self) -> dict[str, Any]:
        """Remove from the cache what no lookup can use any more."""
        return {"removidas": await self.cache.clean()}

    async def check(self) -> dict[str, Any]:
        """Look at everything a lookup needs: servers, services, queues, circuits, providers."""
        redis, queues, circuits, providers = await asyncio.gather(
            _says(self.store.is_up()),
            _says(self.queues.statistics()),
            _says(Board(self.store).overview()),
            _says(reach.known(self.store)),
        )
        found: dict[str, Any] = {"redis": redis is not None, "rabbitmq": queues is not None}
        if queues is not None:
            found["servicos"] = queues["servicos"]
            found["filas"] = {
                name: {"prontas": queue["prontas"], "mortas": queue["mortas"]}
                for name, queue in queues["filas"].items()
            }
        found["circuitos"] = {name: known.state for name, known in (circuits or {}).items()}
        found["provedores"] = providers or {}
        return found


async def _says(question: Any) -> Any:
    """The answer, or None where a server of ours does not answer."""
    try:
        return await question
    except Unavailable:
        return None
