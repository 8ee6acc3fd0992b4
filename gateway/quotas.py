"""What one caller may take of the gateway: lookups in a window, lookups and streams at once."""

import math
from collections import Counter
from typing import Final

from aiohttp import web

from gateway.access import Caller
from gateway.problems import Problem, TooManyStreams
from shared import metrics
from shared.keys import ApiKey
from shared.limits import Limiter, Permit
from shared.lookups import lookup_key
from shared.store import Store

STREAMS: Final = 20_000
STREAMS_EACH: Final = 1_000
# Between a slot and its lookup is one trip to Redis; should the lookup not come about, that long.
SLOT_S: Final = 30.0


class Quotas:
    """Counts over all replicas in Redis, and streams in this process."""

    def __init__(
        self,
        store: Store,
        limiter: Limiter,
        *,
        streams: int = STREAMS,
        each: int = STREAMS_EACH,
    ) -> None:
        self._store, self._limiter = store, limiter
        self._streams, self._each = streams, each
        self._open: Counter[str] = Counter()

    async def spend(self, caller: Caller) -> None:
        """One lookup of the key's window.

        Raises:
            Problem: 429, with the seconds after which there is one again.
        """
        if caller.key is None:
            return
        wait = await self._limiter.acquire(Permit(caller.key.limit), lease=0)
        if wait:
            detail = f"limite da chave: {caller.key.rate}"
            raise Problem(429, detail, headers={"Retry-After": str(math.ceil(wait))})

    async def occupy(self, caller: Caller, task_id: str) -> dict[str, str]:
        """One of the lookups the key may have under way; it is free again when the lookup ends.

        Returns what the lookup has to know to keep it until then; else it is free after SLOT_S.

        Raises:
            Problem: 429.
        """
        if caller.key is None:
            return {}
        name = _slots(caller.key)
        limit = caller.key.concurrency
        taken = await self._store.run("occupy", [name], task_id, SLOT_S, limit)
        if not taken:
            detail = f"a chave já tem {caller.key.concurrency} consultas em andamento"
            raise Problem(429, detail, headers={"Retry-After": "2"})
        return {"slots": name}

    async def free(self, caller: Caller, task_id: str) -> None:
        """Give back what `occupy` took, unless another try has begun the lookup."""
        if caller.key is not None:
            await self._store.run("vacate", [_slots(caller.key), lookup_key(task_id)], task_id)

    def stream(self, caller: Caller) -> "Place":
        """One open stream.

        Raises:
            TooManyStreams: not one more.
        """
        name = caller.tenant
        if self._open.total() >= self._streams or self._open[name] >= self._each:
            raise TooManyStreams
        return Place(self._open, name)


class Place:
    """A place among the open streams, for as long as the block lasts."""

    __slots__ = ("_name", "_open")

    def __init__(self, open_: Counter[str], name: str) -> None:
        self._open, self._name = open_, name

    def __enter__(self) -> None:
        self._open[self._name] += 1
        metrics.sse_streams.inc()

    def __exit__(self, *_: object) -> None:
        metrics.sse_streams.dec()
        self._open[self._name] -= 1
        if not self._open[self._name]:
            del self._open[self._name]


def _slots(key: ApiKey) -> str:
    return f"consulta:slots:{key.id}"


QUOTAS: Final = web.AppKey("quotas", Quotas)
