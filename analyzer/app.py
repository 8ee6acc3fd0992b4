"""The analyzer, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from analyzer.handlers import Handlers
from analyzer.settings import Settings
from shared.app import BUS, LIMITER, LOOKUPS, STORE, base
from shared.errors import StoreUnavailable
from shared.flow.claims import Claims
from shared.intake import take
from shared.orders import Orders
from shared.reporter import Reporter
from shared.tasks import end
from shared.topology import ANALYSIS


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "analyzer")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups = app[BUS], app[LOOKUPS]
        reporter, limiter = Reporter(bus, lookups), app[LIMITER]
        orders = Orders(bus, limiter, reporter, settings)
        claims = Claims(app[STORE], lookups)
        handlers = Handlers(bus, lookups, reporter, orders, limiter, claims)
        # First of all: what is claimed by a process that never said it lives is anybody's.
        with suppress(StoreUnavailable):
            await claims.beat()
        beat = asyncio.create_task(claims.run(), name="claims")
        take(bus, ANALYSIS, handlers.on_analysis_requested, limiter, settings.rate_analysis)
        yield
        # As long as anything is in hand, it has to be said.
        await bus.drain()
        await end([beat])

    app.cleanup_ctx.append(consumers)
    return app
