"""The gateway, put together."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway import bulk, cache, circuits, documents, headers, lookups, operations
from gateway.access import ACCESS, Access, guard
from gateway.asking import PATIENCE_S, PLANNER, settled
from gateway.hits.hits import HITS, Hits
from gateway.operations import QUEUES
from gateway.problems import problems
from gateway.quotas import QUOTAS, Quotas
from gateway.security.prints import PRINTS, Prints
from gateway.settings import Settings
from gateway.streaming.room import ROOM, Room
from gateway.streams import RELAY, Relay, Signal
from gateway.tracing import trace
from shared.app import (
    BUS,
    CACHE,
    ENDINGS,
    LIMITER,
    LOOKUPS,
    REPORTER,
    STORE,
    SUPERVISOR,
    base,
)
from shared.errors import InvalidSetting
from shared.flow.planner import Planner
from shared.keys import Keys
from shared.messages import MAX_BODY
from shared.orders import Orders
from shared.queues import Queues

log = logging.getLogger(__name__)

STATIC: Final = Path(__file__).parent / "static"
# A revoked key is useless after this.
KEYS_S: Final = 1.0


def build(settings: Settings, keys: Keys | None) -> web.Application:
    """The application with every route."""
    app = base(
        settings,
        "gateway",
        # What is cached is served all the same.
        writes=False,
        middlewares=[*headers.cors(settings.cors_origins), problems, guard, trace],
        client_max_size=MAX_BODY,
    )
    app[ACCESS] = Access(keys, settings.cache_secret, settings.keep_s)
    app[ROOM] = Room()
    app[PRINTS] = Prints(settings.cache_secret)
    for module in (bulk, lookups, cache, circuits, operations):
        app.add_routes(module.routes)
    documents.serve(app)
    app.router.add_get("/", _console)
    app.router.add_static("/static", STATIC)
    app.on_response_prepare.append(headers.secure)
    app.on_response_prepare.append(headers.allow)
    app.on_shutdown.append(_leave)
    app.cleanup_ctx.append(_parts(settings, keys))
    return app


def _parts(settings: Settings, keys: Keys | None):  # type: ignore[no-untyped-def]
    async def parts(app: web.Application) -> AsyncIterator[None]:
        app[RELAY] = Relay(app[BUS], app[LOOKUPS], app[ENDINGS])
        app[QUOTAS] = Quotas(
            app[STORE],
            app[LIMITER],
            streams=settings.max_streams,
            each=settings.max_streams_per_client,
        )
        app[HITS] = Hits(
            app[STORE],
            app[CACHE],
            settings.cache_secret,
            room=settings.near_cache_bytes,
        )
        orders = Orders(
            app[BUS], app[LIMITER], app[REPORTER], settings, settings, patience=PATIENCE_S
        )
        app[PLANNER] = Planner(
            app[BUS], app[LOOKUPS], app[CACHE], app[REPORTER], orders, app[ENDINGS]
        )
        app[QUEUES] = Queues(app[BUS], app[STORE], settings.of)
        app[SUPERVISOR].keep("counts", app[CACHE].keep_counts)
        app[SUPERVISOR].keep("streams", app[RELAY].beat)
        app[SUPERVISOR].keep("quiet streams", app[RELAY].look)
        if keys is not None:
            app[SUPERVISOR].keep("keys", functools.partial(_watch, keys))
        yield
        await settled()

    return parts


async def _watch(keys: Keys) -> None:
    while True:
        await asyncio.sleep(KEYS_S)
        try:
            keys.refresh()
        except InvalidSetting as error:
            # The keys it has are better than none; a revocation in there has to be mended.
            log.exception("the keys were not read again", extra={"error": str(error)})


async def _leave(app: web.Application) -> None:
    """Send the streams to another gateway before this one goes."""
    with contextlib.suppress(KeyError):
        app[RELAY].wake(Signal.LEAVE)


async def _console(_: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "index.html")
