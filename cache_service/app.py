"""The cache_service, put together."""

from collections.abc import AsyncIterator

from aiohttp import web

from cache_service.handlers import Handlers
from cache_service.planner import Planner
from cache_service.settings import Settings
from shared.app import BUS, CACHE, LIMITER, LOOKUPS, base
from shared.bus import Consumer
from shared.orders import Orders
from shared.reporter import Reporter
from shared.topology import ANALYZED, DEADLINE, REQUESTED


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "cache_service")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups, cache = app[BUS], app[LOOKUPS], app[CACHE]
        reporter = Reporter(bus, lookups)
        orders = Orders(bus, app[LIMITER], reporter, settings)
        handlers = Handlers(
            planner=Planner(bus, lookups, cache, reporter, orders),
            lookups=lookups,
            cache=cache,
            reporter=reporter,
            ttl=settings.ttl,
            ttl_not_found=settings.ttl_not_found,
        )
        bus.on_dead = handlers.on_bad_request
        Consumer(bus, REQUESTED, handlers.on_requested)
        Consumer(bus, ANALYZED, handlers.on_analyzed)
        Consumer(bus, DEADLINE, handlers.on_deadline)
        yield

    app.cleanup_ctx.append(consumers)
    return app
