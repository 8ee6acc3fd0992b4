"""How much of the bodies that are read whole this process holds at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from gateway.problems import RETRY_AFTER_S, Problem

ROOM_BYTES: Final = 64 * 1024 * 1024
# Half of it, so that nobody fills it alone.
EACH_BYTES: Final = 32 * 1024 * 1024


class Room:
    """Bytes, in all and for each tenant."""

    def __init__(self, total: int = ROOM_BYTES, each: int = EACH_BYTES) -> None:
        self._total, self._each = total, each
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, tenant: str, size: int) -> Iterator[None]:
        """So many bytes of it, for as long as the block lasts.

        Raises:
            Problem: 429 the tenant has too much of it, 503 there is no more.
        """
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        if self._taken[tenant] + size > self._each:
            detail = "você já tem listas demais em andamento; espere o fim de alguma"
            raise Problem(429, detail, headers=retry)
        if self._taken.total() + size > self._total:
            raise Problem(503, "há listas demais em andamento; tente de novo", headers=retry)
        self._taken[tenant] += size
        try:
            yield
        finally:
            self._taken[tenant] -= size
            if not self._taken[tenant]:
                del self._taken[tenant]


ROOM: Final = web.AppKey("room", Room)
