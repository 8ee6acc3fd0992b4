"""The analyzer, put together."""

from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from analyzer.handlers import Handlers
from analyzer.settings import Settings
from shared.app import BUS, ENDINGS, LIMITER, LOOKUPS, REPORTER, STORE, SUPERVISOR, base
from shared.errors import StoreUnavailable
from shared.flow.claims import Claims
from shared.intake import Intake
from shared.orders import Orders
from shared.topology import ANALYSIS


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "analyzer")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, reporter, limiter = app[BUS], app[REPORTER], app[LIMITER]
        orders = Orders(bus, limiter, reporter, settings, settings)
        claims = Claims(app[STORE], app[LOOKUPS])
        handlers = Handlers(reporter, orders, app[ENDINGS], limiter, claims)
        bus.on_dead = handlers.on_dead
        # First of all: what is claimed by a process that never said it lives is anybody's.
        with suppress(StoreUnavailable):
            await claims.beat()
        app[SUPERVISOR].keep("claims", claims.run)
        Intake(
            bus,
            ANALYSIS,
            handlers.on_analysis_requested,
            limiter=limiter,
            limit=settings.rate_analysis,
        )
        yield
        # As long as anything is in hand, it has to be said.
        await bus.drain()

    app.cleanup_ctx.append(consumers)
    return app
