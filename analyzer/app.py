"""The analyzer, put together."""

from collections.abc import AsyncIterator

from aiohttp import web

from analyzer.handlers import Handlers
from analyzer.settings import Settings
from shared.app import BUS, ENDINGS, LIMITER, LOOKUPS, REPORTER, base
from shared.intake import take
from shared.orders import Orders
from shared.topology import ANALYSIS


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "analyzer")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, reporter, limiter = app[BUS], app[REPORTER], app[LIMITER]
        orders = Orders(bus, limiter, reporter, settings)
        handlers = Handlers(bus, app[LOOKUPS], reporter, orders, app[ENDINGS])
        bus.on_dead = handlers.on_dead
        take(bus, ANALYSIS, handlers.on_analysis_requested, limiter, settings.rate_analysis)
        yield

    app.cleanup_ctx.append(consumers)
    return app
