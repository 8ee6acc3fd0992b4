"""What the cache_service does with each message."""

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from typing import Final, cast

from cache_service.planner import Planner
from shared import metrics
from shared.cache import Cache
from shared.consumer import Delivery
from shared.errors import InvalidInput, Undecodable
from shared.identifiers import Kind
from shared.lookups import Lookups
from shared.messages import (
    STAGES,
    Analyzed,
    DeadlineReached,
    Event,
    Requested,
    Stage,
    decode_event,
    unix,
)
from shared.reporter import Reporter, event
from shared.results import analysis_entry, analysis_field, completed, to_cache
from shared.topology import REQUESTED, Queue

log = logging.getLogger(__name__)

_ORIGIN: Final = re.compile(rb'"origem"\s*:\s*"([A-Za-z0-9_.-]{1,160})"')


@dataclass(frozen=True)
class Handlers:
    """Starts lookups and ends them; the one writer of the cache."""

    planner: Planner
    lookups: Lookups
    cache: Cache
    reporter: Reporter
    ttl: dict[Stage, float]
    ttl_not_found: float

    async def on_requested(self, request: Requested, delivery: Delivery) -> None:
        """A lookup was asked for."""
        # The broker's word for the priority; the body's is for those who publish without it.
        request.priority = delivery.priority or request.priority
        try:
            await self.planner.plan(request)
        except InvalidInput as error:
            raise Undecodable(str(error), request.task_id) from None

    async def on_analyzed(self, analyzed: Analyzed, _: Delivery) -> None:
        """The result is made: store what was fetched, then say so.

        In this order, so that whoever has seen `completo` and asks again finds it in the cache.
        """
        await self._complete(analyzed.flight)

    async def on_deadline(self, reached: DeadlineReached, _: Delivery) -> None:
        """An asker's time is up: it gets what there is, the others of its flight fly on."""
        verdict, flight = await self.lookups.leave(reached.task_id)
        if verdict == "again":
            # This very message ended it, and whoever held it may have died before it said so.
            await self._complete(flight)
        if verdict != "alone":
            return
        about = await self.lookups.flight(flight)
        for stage in STAGES:
            if stage in about.get("wanted", "").split(","):
                late = event(stage, outcome="expirado")
                await self.reporter.report(flight, stage, late, counts=True)
        # Nor is there time to wait for the analyzer; if it was done, that one stands.
        await self.reporter.report(flight, "analysis", event("analysis", outcome="expirado"))
        await self._complete(flight)

    async def on_bad_request(self, queue: Queue, body: bytes, task: str, reason: str) -> None:
        """A request that cannot be read ends in an `error`, as far as its asker can be told."""
        origin = _ORIGIN.search(body[:100_000])
        if queue != REQUESTED or not task or origin is None:
            return
        view = await self.lookups.view(task)
        if view is not None and "flight" in view.lookup and "alone" not in view.lookup:
            return  # a bad copy of a request that was good
        await self.lookups.accept(task, 0, origin=origin.group(1).decode())
        _, flight = await self.lookups.leave(task)
        data = {"codigo": "pedido_invalido", "mensagem": reason}
        await self.reporter.report(flight, "error", event("error", data))
        metrics.lookups.labels("invalid", "error").inc()

    async def _complete(self, flight: str) -> None:
        about, log_ = await asyncio.gather(self.lookups.flight(flight), self.lookups.log(flight))
        events = [decode_event(body) for body in log_]
        analysis = next((event for event in events if event.type == "analysis"), None)
        if not about or analysis is None:
            return  # it ended long ago, or was cancelled
        entries = to_cache(events, self.ttl, self.ttl_not_found)
        if (kept := analysis_entry(events, analysis)) is not None:
            entries[analysis_field(about["wanted"].split(","))] = kept
        kind = cast("Kind", about["kind"])
        await self.cache.write(kind, about["digest"], entries)
        done = await self.reporter.report(flight, "end", completed(kind, events, analysis.data))
        if done.verdict == "new":
            _count(kind, events)


def _count(kind: Kind, events: list[Event]) -> None:
    stages = [event for event in events if event.type in STAGES]
    answered = all(event.outcome in {"ok", "nao_encontrado"} for event in stages)
    cached = all(event.cached for event in stages)
    metrics.lookups.labels(kind, "completo" if answered else "parcial").inc()
    took = time.time() - unix(events[0].timestamp)
    metrics.lookup_duration.labels(kind, "hit" if cached else "miss").observe(max(0.0, took))
