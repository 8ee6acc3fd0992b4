"""`@cached(kind)`: remember what an async function of an identifier returned."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from shared.cache import Cache, Entry
from shared.errors import ConsultaError, StoreUnavailable

log = logging.getLogger(__name__)

# Of an identifier, and of what no value depends on.
Function = Callable[..., Awaitable[Any]]

# Values that a function holds in memory, at most: the oldest makes room.
MOST_HELD: Final = 256


class Held:
    """Values in memory, each for so many seconds; with 0 it holds none."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        # With the end of its time.
        self._values: dict[str, tuple[Any, float]] = {}

    def get(self, key: str) -> tuple[Any] | None:
        """The value in a tuple, since it may be None; None if there is none."""
        value, until = self._values.get(key, (None, 0.0))
        return (value,) if until > self._clock() else None

    def keep(self, key: str, value: Any) -> Any:
        """Hold a value, and give it back."""
        if self._seconds:
            self._values.pop(key, None)
            self._values[key] = value, self._clock() + self._seconds
            if len(self._values) > MOST_HELD:
                del self._values[next(iter(self._values))]
        return value


def cached(
    cache: Cache,
    kind: str,
    field: str = "valor",
    *,
    ttl: float | None = None,
    hold: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Function], Function]:
    """Decorate an async function of one identifier, whose result JSON can hold.

    Identical calls under way in this process share one (single flight), which is made with what the
    first of them passes beside the identifier. When the function fails with an error of ours, the
    last known value is returned, however old (stale on error). When Redis is away the function is
    simply called.

    Args:
        kind: of the identifier; every spelling of it is one entry.
        field: which of the subject's fields it is.
        ttl: seconds a value is fresh; without it as long as its kind is.
        hold: seconds for which this process does not look again, so that for so long it sees no
            invalidation either. For what is asked for with each lookup and hardly ever changes.
        clock: seconds, for `hold`.
    """

    def decorate(function: Function) -> Function:
        under_way: dict[str, asyncio.Task[Any]] = {}
        held = Held(hold, clock)

        async def fetch(identifier: str, *more: Any) -> Any:
            entry = await _known(cache, kind, identifier, field)
            if entry is not None and entry.is_fresh():
                return held.keep(identifier, entry.data)
            try:
                value = await function(identifier, *more)
            except ConsultaError:
                if entry is None:
                    raise
                return entry.data
            try:
                source = function.__name__
                await cache.set(kind, identifier, field, value, source=source, ttl=ttl)
            except StoreUnavailable:
                log.warning("not cached", extra={"kind": kind})
            return held.keep(identifier, value)

        @wraps(function)
        async def wrapper(identifier: str, *more: Any) -> Any:
            if (value := held.get(identifier)) is not None:
                return value[0]
            key = cache.digest(kind, identifier)
            task = under_way.get(key)
            if task is None:
                task = under_way[key] = asyncio.create_task(fetch(identifier, *more))
                task.add_done_callback(lambda _: under_way.pop(key, None))
            # One caller's cancellation must not take the value from the others.
            return await asyncio.shield(task)

        return wrapper

    return decorate


async def _known(cache: Cache, kind: str, identifier: str, field: str) -> Entry | None:
    try:
        return await cache.get(kind, identifier, field)
    except StoreUnavailable:
        return None
