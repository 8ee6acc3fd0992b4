"""What the queues hold at this moment, from the broker and from the store."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from shared.bus import Bus
from shared.limits import Limit
from shared.lookups import active_key, waiting_key
from shared.store import Store, translated
from shared.topology import QUEUES, UNROUTABLE_DEAD
from shared.workers import Workers


class Queues:
    """Statistics of every queue."""

    def __init__(self, bus: Bus, store: Store, limits: Mapping[str, Limit]) -> None:
        self._bus, self._store, self._limits = bus, store, limits
        self._workers = Workers(store)

    async def depths(self) -> dict[str, int]:
        """Messages ready in each queue, the dead ones included.

        Raises:
            BusUnavailable: the broker does not answer.
        """
        names = [name for queue in QUEUES for name in (queue.name, queue.dead)]
        return await self._bus.depths([*names, UNROUTABLE_DEAD])

    async def statistics(self) -> dict[str, Any]:
        """The answer of `/api/filas`.

        Raises:
            Unavailable: broker or store do not answer.
        """
        depths, lines, scheduled, alive = await asyncio.gather(
            self.depths(), self._lines(), self._scheduled(), self._workers.alive()
        )
        queues = {
            queue.name: {
                "prontas": depths[queue.name],
                "mortas": depths[queue.dead],
                **lines[queue.name],
            }
            for queue in QUEUES
        }
        return {
            "tasks_ativas": sum(queue["ativas"] for queue in queues.values()),
            "tasks_agendadas": scheduled,
            "tasks_reservadas": sum(queue["prontas"] for queue in queues.values()),
            "workers": len(alive),
            "servicos": {name: alive.count(name) for name in sorted(set(alive))},
            "filas": queues,
        }

    @translated
    async def _scheduled(self) -> int:
        return int(await self._store.redis.zcard("consulta:scheduled"))

    @translated
    async def _lines(self) -> dict[str, dict[str, Any]]:
        """Of each queue: at work, waiting, age of the oldest (s), limit, permits left."""
        now, lines = time.time(), {}
        pipe = self._store.redis.pipeline(transaction=False)
        for queue in QUEUES:
            limit = self._limits.get(queue.name, Limit(queue.name))
            # Work whose deadline has passed was dropped, or its process died.
            pipe.zcount(active_key(queue.name), round(now * 1000), "+inf")
            pipe.zcard(waiting_key(queue.name))
            pipe.zrange(waiting_key(queue.name), 0, 0, withscores=True)
            for _, seconds in limit.windows:
                pipe.zcount(limit.key, round((now - seconds) * 1e6), "+inf")
        answers = iter(await pipe.execute())
        for queue in QUEUES:
            limit = self._limits.get(queue.name, Limit(queue.name))
            active, waiting, oldest = next(answers), next(answers), next(answers)
            left = [count - next(answers) for count, _ in limit.windows]
            lines[queue.name] = {
                "ativas": active,
                "esperando": waiting,
                "idade_s": round(now - oldest[0][1] / 1e6, 1) if oldest else None,
                "limite": str(limit),
                "permissoes": max(0, min(left)) if left else None,
            }
        return lines
