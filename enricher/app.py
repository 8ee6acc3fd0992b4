"""An enricher, put together: one stage, its providers, and their breakers."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from aiohttp import web

from enricher.call import Guarded
from enricher.calling.dates import Dates
from enricher.calling.extra import Extra
from enricher.circuits import Circuits
from enricher.fallback import Fallback
from enricher.handlers import Handlers
from enricher.http import session
from enricher.providers.base import Provider
from enricher.providers.brasilapi import BrasilApi
from enricher.providers.minhareceita import MinhaReceita
from enricher.providers.registry import build as build_providers
from enricher.providers.registry import chain
from enricher.reach import watch
from enricher.reference import Reference
from enricher.settings import Settings
from shared.app import BUS, CACHE, LIMITER, LOOKUPS, REPORTER, STORE, SUPERVISOR, base
from shared.circuits import Board
from shared.errors import StoreUnavailable
from shared.flow.claims import Claims
from shared.identifiers import KINDS, Kind
from shared.intake import Intake
from shared.messages import Stage
from shared.orders import Orders
from shared.topology import STAGE_QUEUES


def build(settings: Settings, stage: Stage) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, f"enricher {stage}")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups, cache, limiter = app[BUS], app[LOOKUPS], app[CACHE], app[LIMITER]
        async with session() as http:
            providers = build_providers(os.environ, http)
            circuits = Circuits(Board(app[STORE]))
            links = _links(stage, providers, circuits)
            reporter = app[REPORTER]
            brasilapi = providers[BrasilApi.name]
            minhareceita = providers[MinhaReceita.name]
            assert isinstance(brasilapi, BrasilApi)  # noqa: S101 - what its name stands for
            assert isinstance(minhareceita, MinhaReceita)  # noqa: S101
            limit = settings.of[STAGE_QUEUES[stage].name]

            def extra(provider: Provider) -> Extra:
                circuit = circuits.of(provider.name, provider.timeout)
                return Extra(provider, circuit, limiter, limit)

            reference = Reference(cache, brasilapi, extra(brasilapi))
            claims = Claims(app[STORE], lookups)
            handlers = Handlers(
                stage=stage,
                queue=STAGE_QUEUES[stage],
                links=links,
                lookups=lookups,
                limiter=limiter,
                reporter=reporter,
                orders=Orders(bus, limiter, reporter, settings),
                reference=reference,
                dates=Dates(cache, minhareceita, extra(minhareceita)),
                freshness=settings,
                fallback=Fallback(cache, lookups, reference),
                claims=claims,
                hedging=settings.hedging,
            )
            # First of all: a replica that starts in an outage need not find out by itself.
            with suppress(StoreUnavailable):
                await circuits.tick()
                # What is claimed by a process that never said it lives is anybody's.
                await claims.beat()
            configured = {link.provider for kind in links.values() for link in kind}
            app[SUPERVISOR].keep("circuits", circuits.run)
            app[SUPERVISOR].keep("claims", claims.run)
            app[SUPERVISOR].keep("reach", lambda: watch(app[STORE], configured))
            bus.on_dead = handlers.on_dead
            Intake(
                bus,
                STAGE_QUEUES[stage],
                handlers.on_stage_requested,
                limiter=limiter,
                limit=limit,
                concurrency=settings.enricher_concurrency,
            )
            yield
            # Before the session closes under them.
            await bus.drain()

    app.cleanup_ctx.append(consumers)
    return app


def _links(
    stage: Stage, providers: Mapping[str, Provider], circuits: Circuits
) -> dict[Kind, list[Guarded]]:
    """The providers of a stage by kind of input, each behind its circuit and its retry budget."""
    links: dict[Kind, list[Guarded]] = {}
    guarded: dict[str, Guarded] = {}
    for kind in KINDS:
        links[kind] = []
        for provider in chain(providers, stage, kind):
            if not provider.is_configured:
                continue
            circuit = circuits.of(provider.circuit or provider.name, provider.timeout)
            link = guarded.setdefault(provider.name, Guarded(provider, circuit))
            links[kind].append(link)
    return links
