"""An enricher, put together: its stages, their providers, and the breakers of those.

What a process has once is shared by its stages: the store, the bus, the providers and their
circuits. What somebody set for one stage is that stage's alone: its queue, its limit, how many
orders it has in hand, the retries it may make, and the permits that its extras take.
"""

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
from shared.topology import STAGE_QUEUES, Queue


def service(stages: tuple[Stage, ...]) -> str:
    """What a process that does these is called, among the living and in its logs.

    One name, since those are processes: four stages in one process are one that may die.
    """
    return f"enricher {'+'.join(stages)}"


def build(settings: Settings, stages: tuple[Stage, ...]) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, service(stages))

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, supervisor = app[BUS], app[SUPERVISOR]
        async with session(len(stages)) as http:
            providers = build_providers(os.environ, http)
            circuits = Circuits(Board(app[STORE]))
            claims = Claims(app[STORE], app[LOOKUPS])
            orders = Orders(bus, app[LIMITER], app[REPORTER], settings, settings)
            handlers = {
                STAGE_QUEUES[stage]: _handlers(
                    app, settings, stage, providers, circuits, claims, orders
                )
                for stage in stages
            }
            # First of all: a replica that starts in an outage need not find out by itself.
            with suppress(StoreUnavailable):
                await circuits.tick()
                # What is claimed by a process that never said it lives is anybody's.
                await claims.beat()
            configured = {
                link.provider
                for each in handlers.values()
                for links in each.links.values()
                for link in links
            }
            supervisor.keep("circuits", circuits.run)
            supervisor.keep("claims", claims.run)
            supervisor.keep("reach", lambda: watch(app[STORE], configured))

            async def on_dead(queue: Queue, body: bytes, task: str, reason: str) -> None:
                await handlers[queue].on_dead(queue, body, task, reason)

            bus.on_dead = on_dead
            for queue, each in handlers.items():
                Intake(
                    bus,
                    queue,
                    each.on_stage_requested,
                    limiter=app[LIMITER],
                    limit=settings.of[queue.name],
                    concurrency=settings.enricher_concurrency,
                )
            yield
            # Before the session closes under them.
            await bus.drain()

    app.cleanup_ctx.append(consumers)
    return app


def _handlers(
    app: web.Application,
    settings: Settings,
    stage: Stage,
    providers: Mapping[str, Provider],
    circuits: Circuits,
    claims: Claims,
    orders: Orders,
) -> Handlers:
    """What does one stage."""
    lookups, cache, limiter = app[LOOKUPS], app[CACHE], app[LIMITER]
    queue = STAGE_QUEUES[stage]
    brasilapi = providers[BrasilApi.name]
    minhareceita = providers[MinhaReceita.name]
    assert isinstance(brasilapi, BrasilApi)  # noqa: S101 - what its name stands for
    assert isinstance(minhareceita, MinhaReceita)  # noqa: S101

    def extra(provider: Provider) -> Extra:
        circuit = circuits.of(provider.name, provider.timeout)
        return Extra(provider, circuit, limiter, settings.of[queue.name])

    reference = Reference(cache, brasilapi, extra(brasilapi))
    return Handlers(
        stage=stage,
        queue=queue,
        links=links_of(stage, providers, circuits),
        lookups=lookups,
        limiter=limiter,
        reporter=app[REPORTER],
        orders=orders,
        reference=reference,
        dates=Dates(cache, minhareceita, extra(minhareceita)),
        freshness=settings,
        fallback=Fallback(cache, lookups, reference),
        claims=claims,
        hedging=settings.hedging,
    )


def links_of(
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
