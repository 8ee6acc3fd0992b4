"""`@cached(kind)`: remember what an async function of an identifier returned."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from shared.cache import Cache, Entry
from shared.errors import ConsultaError, StoreUnavailable

log = logging.getLogger(__name__)

Function = Callable[[str], Awaitable[Any]]


def cached(
    cache: Cache, kind: str, field: str = "valor", *, ttl: float | None = None
) -> Callable[[Function], Function]:
    """Decorate an async function of one identifier, whose result JSON can hold.

    Identical calls under way in this process share one (single flight). When the function fails
    with an error of ours, the last known value is returned, however old (stale on error). When
    Redis is away the function is simply called.

    Args:
        kind: of the identifier; every spelling of it is one entry.
        field: which of the subject's fields it is.
        ttl: seconds a value is fresh; without it as long as its kind is.
    """

    def decorate(function: Function) -> Function:
        under_way: dict[str, asyncio.Task[Any]] = {}

        async def fetch(identifier: str) -> Any:
            entry = await _known(cache, kind, identifier, field)
            if entry is not None and entry.is_fresh():
                return entry.data
            try:
                value = await function(identifier)
            except ConsultaError:
                if entry is None:
                    raise
                return entry.data
            try:
                source = function.__name__
                await cache.set(kind, identifier, field, value, source=source, ttl=ttl)
            except StoreUnavailable:
                log.warning("not cached", extra={"kind": kind})
            return value

        @wraps(function)
        async def wrapper(identifier: str) -> Any:
            key = cache.digest(kind, identifier)
            task = under_way.get(key)
            if task is None:
                task = under_way[key] = asyncio.create_task(fetch(identifier))
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
