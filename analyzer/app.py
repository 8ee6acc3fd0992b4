"""The analyzer, put together."""

from collections.abc import AsyncIterator

from aiohttp import web

from analyzer.handlers import Handlers
from analyzer.settings import Settings
from shared.app import BUS, LIMITER, LOOKUPS, base
from shared.intake import take
from shared.orders import Orders
from shared.reporter import Reporter
from shared.topology import ANALYSIS


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "analyzer")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups = app[BUS], app[LOOKUPS]
        reporter, limiter = Reporter(bus, lookups), app[LIMITER]
        orders = Orders(bus, limiter, reporter, settings)
        handlers = Handlers(bus, lookups, reporter, orders, limiter)
        take(bus, ANALYSIS, handlers.on_analysis_requested, limiter, settings.rate_analysis)
        yield

    app.cleanup_ctx.append(consumers)
    return app
