"""What the queues hold at this moment, from the broker and from the store."""

import asyncio
from collections.abc import Mapping
from typing import Any

from shared.bus import Bus
from shared.limits import BIRTH, HOUR, Limit
from shared.lookups import active_key, waiting_key
from shared.store import Store
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

    async def _scheduled(self) -> int:
        return int(await self._store.do("ZCARD", "consulta:scheduled"))

    async def _lines(self) -> dict[str, dict[str, Any]]:
        """Of each queue: at work, waiting, age of the oldest (s), limit, permits left."""
        # What is compared with it was written by Redis' clock, or by many hosts.
        now = await self._store.now()
        lines = await asyncio.gather(*(self._line(queue.name, now) for queue in QUEUES))
        return {queue.name: line for queue, line in zip(QUEUES, lines, strict=True)}

    async def _line(self, queue: str, now: float) -> dict[str, Any]:
        do, limit = self._store.do, self._limits.get(queue, Limit(queue))
        active, waiting, oldest, lost, *used = await asyncio.gather(
            # Work whose deadline has passed was dropped, or its process died.
            do("ZCOUNT", active_key(queue), round(now * 1000), "+inf"),
            do("ZCARD", waiting_key(queue)),
            do("ZRANGE", waiting_key(queue), 0, 0, "WITHSCORES"),
            do("HGET", BIRTH, "lost"),
            *(
                do("ZCOUNT", limit.key, round((now - seconds) * 1e6), "+inf")
                for _, seconds in limit.windows
            ),
        )
        # While forgotten permits are waited out there is none.
        left = [
            0 if int(lost or 0) / 1e6 + min(seconds, HOUR) > now else count - taken
            for (count, seconds), taken in zip(limit.windows, used, strict=True)
        ]
        return {
            "ativas": active,
            "esperando": waiting,
            # What was put off is to come back later.
            "idade_s": round(max(0.0, now - oldest[0][1] / 1e6), 1) if oldest else None,
            "limite": str(limit),
            "permissoes": max(0, min(left)) if left else None,
        }
