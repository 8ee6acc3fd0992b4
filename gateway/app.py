"""The gateway, put together."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway import bulk, cache, lookups, operations
from gateway.lookups import RELAY, REPORTER
from gateway.problems import problems
from gateway.settings import Settings
from gateway.streams import Relay
from shared.app import BUS, LOOKUPS, STORE, base
from shared.messages import MAX_BODY
from shared.queues import Queues
from shared.reporter import Reporter

STATIC: Final = Path(__file__).parent / "static"


def build(settings: Settings) -> web.Application:
    """The application with every route."""
    app = base(settings, "gateway", middlewares=[problems], client_max_size=MAX_BODY)
    app.add_routes(bulk.routes)
    app.add_routes(lookups.routes)
    app.add_routes(cache.routes)
    app.add_routes(operations.routes)
    app.router.add_get("/", _console)
    app.router.add_static("/static", STATIC)

    async def relay(app: web.Application) -> AsyncIterator[None]:
        app[RELAY] = Relay(app[BUS], app[LOOKUPS])
        app[operations.QUEUES] = Queues(app[BUS], app[STORE], settings.of)
        app[REPORTER] = Reporter(app[BUS], app[LOOKUPS])
        ticker = asyncio.create_task(app[RELAY].beat())
        yield
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)

    app.cleanup_ctx.append(relay)
    return app


async def _console(_: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "index.html")
