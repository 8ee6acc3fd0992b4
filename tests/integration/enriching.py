"""An enricher's handlers on a real Redis and the simulator, without a bus."""

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast
from uuid import uuid4

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from enricher.budget import RetryBudget
from enricher.call import Guarded
from enricher.calling.dates import Dates
from enricher.calling.extra import Extra
from enricher.circuits import Circuits
from enricher.fallback import Fallback
from enricher.handlers import Handlers
from enricher.providers.base import Answer, Provider, Query
from enricher.providers.brasilapi import BrasilApi
from enricher.providers.minhareceita import MinhaReceita
from enricher.reference import Reference
from shared.cache import Cache
from shared.circuits import Board
from shared.consumer import Delivery
from shared.flow.claims import Claims
from shared.flow.ending import Endings
from shared.flow.freshness import Freshness
from shared.identifiers import Kind
from shared.limits import Limit, Limiter, Permit
from shared.lookups import Lookups, Recorded
from shared.messages import (
    AnalysisRequested,
    Event,
    Requested,
    Stage,
    StageRequested,
    decode_event,
)
from shared.orders import Orders
from shared.reporter import Reporter
from shared.results import started
from shared.settings import Secret, load
from shared.store import Store
from shared.store.record import Place
from shared.topology import STAGE_QUEUES, Queue
from tests.contract.served import made
from tests.integration.clock import Clock


class Quiet(Reporter):
    """Records events and tells nobody."""

    async def tell(self, *steps: Recorded) -> None:
        pass

    async def retell(self, flight: str, *, besides: str = "") -> None:
        pass


class NoOrders(Orders):
    """Orders nothing."""

    def __init__(self) -> None:
        pass

    def place(self, order: StageRequested | AnalysisRequested) -> Place | None:
        return None

    async def send(self, orders: Any, waits: Any) -> None:
        pass

    async def stage(self, order: StageRequested, *, without: Any = None) -> None:
        pass

    async def analysis(self, flight: str, priority: int) -> None:
        pass

    async def hurry(self, queue: Queue, overdue: bytes) -> None:
        pass

    async def waits(self, flight: str, step: str, seconds: float) -> None:
        pass


class Enricher:
    """One stage, asking these providers of the simulator, with pauses of no length.

    Args:
        clock: what its circuits go by, if it is not the real one.
    """

    def __init__(
        self,
        store: Store,
        server: TestServer,
        http: ClientSession,
        stage: Stage,
        kind: Kind,
        providers: Sequence[str],
        *,
        limit: Limit = Limit(""),
        env: Mapping[str, str] = MappingProxyType({}),
        clock: Clock | None = None,
    ) -> None:
        self.stage, self.kind, self.limit, self.prazo = stage, kind, limit, 60.0
        self.lookups, self.cache = Lookups(store), Cache(store, Secret("secret"))
        board = Board(store) if clock is None else Board(store, clock.redis)
        monotonic = time.monotonic if clock is None else clock.monotonic
        self.circuits = Circuits(board, clock=monotonic, jitter=lambda seconds: seconds)
        self.providers: dict[str, Provider] = {
            name: made(name, server.make_url(f"/{name}"), http) for name in providers
        }
        self.tries = dict.fromkeys(providers, 0)
        for provider in self.providers.values():
            self._count(provider)
        links = [
            Guarded(
                provider,
                self.circuits.of(provider.circuit or provider.name, 10.0),
                RetryBudget(),
                jitter=lambda _: 0.0,
            )
            for provider in self.providers.values()
        ]
        self.breakers = {link.provider.name: link.breaker for link in links}
        brasilapi = made("brasilapi", server.make_url("/brasilapi"), http)
        assert isinstance(brasilapi, BrasilApi)
        self.brasilapi = brasilapi
        minhareceita = made("minhareceita", server.make_url("/minhareceita"), http)
        assert isinstance(minhareceita, MinhaReceita)
        limiter = Limiter(store)

        def extra(provider: Provider) -> Extra:
            return Extra(provider, self.circuits.of(provider.name, 10.0), limiter, limit)

        self.reference = Reference(self.cache, brasilapi, extra(brasilapi))
        dates = Dates(self.cache, minhareceita, extra(minhareceita))
        self.handlers = Handlers(
            stage=stage,
            queue=STAGE_QUEUES[stage],
            links={kind: links},
            lookups=self.lookups,
            limiter=limiter,
            reporter=Quiet(cast("Any", None), self.lookups),
            orders=NoOrders(),
            reference=self.reference,
            dates=dates,
            freshness=load(Freshness, env),
            fallback=Fallback(self.cache, self.lookups, self.reference),
            claims=Claims(store, self.lookups),
        )

    async def lookup(
        self,
        value: str,
        *,
        of: tuple[Kind, str] | None = None,
        before: Sequence[Event] = (),
        within: float | None = None,
    ) -> Event:
        """Do the stage of one lookup, and return its event.

        Args:
            value: what the stage looks up.
            of: the lookup's own kind and identifier, where that is another.
            before: stages of the lookup that have ended.
            within: the lookup's `prazo`, in seconds, if it is another.
        """
        order = await self.ordered(value, of=of, within=within)
        for event in before:
            await self.lookups.record(order.flight, event.type, event, counts=True)
        permit = Permit(self.limit)
        assert await self.handlers.limiter.acquire(permit) == 0
        await self.handlers.on_stage_requested(order, cast("Delivery", None), permit)
        await self.handlers.limiter.settle(permit)
        log = map(decode_event, await self.lookups.log(order.flight))
        [told] = [event for event in log if event.type == self.stage]
        return told

    async def cancelled(self, value: str) -> None:
        """Do the stage of a lookup that is cancelled while a provider is asked for it."""
        order = await self.ordered(value)
        [task] = await self.lookups.askers(order.flight)
        endings = Endings(self.lookups, self.handlers.reporter)
        [provider] = self.providers.values()
        fetch = provider.fetch

        async def answers_too_late(query: Query) -> Answer:
            answer = await fetch(query)
            assert await endings.refuse(task, "cancelado")
            return answer

        provider.__dict__["fetch"] = answers_too_late
        await self.handlers.on_stage_requested(order, cast("Delivery", None), Permit(Limit("")))
        provider.__dict__["fetch"] = fetch

    async def ordered(
        self, value: str, *, of: tuple[Kind, str] | None = None, within: float | None = None
    ) -> StageRequested:
        """The order of one lookup's stage."""
        kind, identifier = of or (self.kind, value)
        digest = self.cache.digest(kind, identifier)
        return StageRequested(
            flight=await self._flight(kind, identifier, digest, within or self.prazo),
            order=uuid4().hex,
            stage=self.stage,
            kind=kind,
            value=identifier,
            digest=digest,
            input_kind=self.kind,
            inputs=[value],
        )

    async def _flight(self, kind: Kind, identifier: str, digest: str, within: float) -> str:
        request = Requested(
            identifier=identifier, kind=kind, task_id=str(uuid4()), origin="tests", deadline=within
        )
        wanted: list[Stage] = [self.stage]
        first = started(kind, wanted)
        plan = await self.lookups.plan(request, digest, uuid4().hex, wanted, first)
        return plan.flight

    def _count(self, provider: Provider) -> None:
        fetch = provider.fetch

        async def counted(query: Any) -> Any:
            self.tries[provider.name] += 1
            return await fetch(query)

        provider.__dict__["fetch"] = counted
