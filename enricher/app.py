"""An enricher, put together: one stage, its providers, and their breakers."""

import os
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from enricher.breaker import Breaker
from enricher.call import Guarded
from enricher.handlers import Handlers
from enricher.http import session
from enricher.providers.brasilapi import BrasilApi
from enricher.providers.registry import build as build_providers
from enricher.providers.registry import chain
from enricher.reference import Reference
from enricher.settings import Settings
from shared.app import BUS, CACHE, LIMITER, LOOKUPS, base
from shared.cache import KINDS
from shared.intake import take
from shared.messages import Stage
from shared.orders import Orders
from shared.reporter import Reporter
from shared.topology import STAGE_QUEUES

BREAKERS: Final = web.AppKey("breakers", dict[str, Breaker])


def build(settings: Settings, stage: Stage) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, f"enricher {stage}")
    app[BREAKERS] = {}

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups, cache, limiter = app[BUS], app[LOOKUPS], app[CACHE], app[LIMITER]
        async with session() as http:
            providers = build_providers(os.environ, http)
            breakers = app[BREAKERS]
            breakers |= {name: Breaker(p.circuit or name) for name, p in providers.items()}
            reporter = Reporter(bus, lookups)
            brasilapi = providers[BrasilApi.name]
            assert isinstance(brasilapi, BrasilApi)  # noqa: S101 - what its name stands for
            handlers = Handlers(
                stage=stage,
                queue=STAGE_QUEUES[stage],
                links={
                    kind: [Guarded(p, breakers[p.name]) for p in chain(providers, stage, kind)]
                    for kind in KINDS
                },
                lookups=lookups,
                cache=cache,
                limiter=limiter,
                reporter=reporter,
                orders=Orders(bus, limiter, reporter, settings),
                reference=Reference(cache, brasilapi, breakers[BrasilApi.name]),
            )
            bus.on_dead = handlers.on_dead
            take(
                bus,
                STAGE_QUEUES[stage],
                handlers.on_stage_requested,
                limiter,
                settings.of[STAGE_QUEUES[stage].name],
                concurrency=settings.enricher_concurrency,
            )
            yield
            # Before the session closes under them.
            await bus.drain()

    app.cleanup_ctx.append(consumers)
    return app
