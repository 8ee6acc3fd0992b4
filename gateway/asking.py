"""Ask for a lookup: answered by the cache, or written down and published."""

from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.streams import ORIGIN
from shared import metrics
from shared.app import BUS, CACHE, LOOKUPS
from shared.errors import BusUnavailable
from shared.identifiers import parse
from shared.messages import Event, Lookup, Requested
from shared.results import hit
from shared.stages import wanted
from shared.topology import REQUESTED


async def submit(app: web.Application, asked: Lookup) -> tuple[int, dict[str, Any]]:
    """Take a lookup on: 200 with its result on a hit, else 202 with where to follow it.

    Raises:
        InvalidInput: names the field.
        Unavailable: nothing was taken on.
    """
    task_id = str(uuid4())
    events = await known(app, asked)
    if events is not None:
        await app[LOOKUPS].keep(task_id, ORIGIN, asked.kind, events)
        done = {"task_id": task_id, "status": "SUCCESS", "cache": True}
        return 200, {**done, "resultado": events[-1].data}
    await publish(app, task_id, asked)
    where = f"/api/consultas/{task_id}/eventos"
    return 202, {"task_id": task_id, "status": "PENDING", "eventos": where}


async def known(app: web.Application, asked: Lookup) -> list[Event] | None:
    """All events of the lookup if the cache has its result, fresh and whole.

    Raises:
        InvalidInput: the identifier or the stages; so nothing invalid is ever published.
    """
    identifier = parse(asked.kind, asked.identifier)
    stages = wanted(asked.kind, asked.stages)
    if asked.refresh or asked.delay:
        return None
    cache = app[CACHE]
    entries = await cache.read(asked.kind, cache.digest(asked.kind, identifier.value))
    events = hit(asked.kind, stages, entries)
    await cache.count(hit=events is not None)
    metrics.cache_requests.labels(asked.kind, "hit" if events else "miss").inc()
    return events


async def publish(app: web.Application, task_id: str, asked: Lookup) -> None:
    """Write the lookup down, so that it can be followed at once, then publish it.

    Raises:
        Unavailable: then there is no lookup, not even half of one.
    """
    lookups = app[LOOKUPS]
    lifetime = asked.delay + asked.deadline
    await lookups.accept(task_id, lifetime, origin=ORIGIN, kind=asked.kind)
    request = Requested(task_id=task_id, origin=ORIGIN, **msgspec.structs.asdict(asked))
    try:
        await app[BUS].command(REQUESTED, request, priority=asked.priority, timeout=3.0)
    except BusUnavailable:
        # It may arrive all the same; marked like this nobody will work on it.
        await lookups.discard(task_id)
        raise
