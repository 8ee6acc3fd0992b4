"""Plan a lookup: what the cache can answer is answered, the rest is ordered."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from shared.bus import Bus
from shared.cache import Cache
from shared.errors import InvalidInput
from shared.flow.ending import Endings
from shared.identifiers import Identifier, parse
from shared.lookups import Lookups, Plan, Recorded
from shared.messages import (
    STAGES,
    Event,
    Outcome,
    Requested,
    Stage,
    StageRequested,
    decode_event,
    encode,
)
from shared.orders import Orders
from shared.reporter import Reporter
from shared.results import from_cache, started
from shared.stages import Inputs, derived, waits_for, wanted, without
from shared.topology import REQUESTED


@dataclass(frozen=True)
class Planner:
    """The first step of every lookup."""

    bus: Bus
    lookups: Lookups
    cache: Cache
    reporter: Reporter
    orders: Orders
    endings: Endings

    async def plan(self, request: Requested) -> None:
        """Start a lookup, put it off, or let it join an identical one that is under way.

        Raises:
            InvalidInput: the identifier or the stages cannot be looked up.
            Unavailable: done in part; doing it again completes it.
        """
        identifier = parse(request.kind, request.identifier)
        stages = wanted(request.kind, request.stages)
        digest = self.cache.digest(identifier.kind, identifier.value)
        first = started(request.kind, stages, request.purpose, request.legal_basis)
        subject = _subject(request, digest, stages)
        plan = await self.lookups.plan(request, digest, subject, stages, first)
        match plan.verdict:
            case "other":
                # Its events are about somebody else: neither asker may get the other's.
                raise InvalidInput("task_id", "já é o de uma consulta a outro identificador")
            case "early":
                await self._put_off(request, plan)
            case "late":
                await self.endings.expire(request.task_id)
            case "ended":
                # Asked for again by an asker who missed its end.
                await self.reporter.catch_up(request.task_id, request.origin)
            case "leads" | "joins" | "renews" | "again":
                steps = [self._announce(request, plan, first)]
                if plan.verdict != "joins":
                    steps.append(self._start(request, identifier, digest, stages, plan))
                # At once: neither needs the other's outcome, and they share their round trips.
                await asyncio.gather(*steps)

    async def _announce(self, request: Requested, plan: Plan, first: Event) -> None:
        """Tell the asker what has happened so far: to the first of a flight, that it begins."""
        if plan.verdict == "leads":
            aboard = {request.task_id: request.origin}
            await self.reporter.tell(Recorded("new", 1, len(STAGES), encode(first), aboard))
        else:
            await self.reporter.catch_up(request.task_id, request.origin)

    async def _put_off(self, request: Requested, plan: Plan) -> None:
        # With its deadline, so that it starts and ends when it should, however late it is read.
        request.expires = datetime.fromtimestamp(plan.deadline, UTC)
        await self.lookups.schedule(request, plan.deadline - request.deadline)
        delay, request.delay = plan.seconds, 0
        await self.bus.command(REQUESTED, request, delay=delay, priority=request.priority)

    async def _start(
        self,
        request: Requested,
        identifier: Identifier,
        digest: str,
        stages: list[Stage],
        plan: Plan,
    ) -> None:
        """Answer what is fresh and order what is not; what has an outcome is left alone.

        This runs again for a lookup delivered twice, and for an asker who joins and is urgent or
        finds the orders old, since they may be lost. The new orders have the highest priority
        aboard, and the claim lets only one of two be done.
        """
        done, missing = await self._answered(request, digest, stages, plan)
        priority = max(request.priority, plan.before)
        if "analysis" in done:
            await self.endings.complete(plan.flight)
        elif not missing:
            await self.orders.analysis(plan.flight, priority)
        orders = []
        for stage in missing:
            first = waits_for(request.kind, stage)
            if first in missing:
                continue  # it is on the slip of the one it waits for
            inputs = Inputs(request.kind, [identifier.value])
            ending: Outcome = "nao_encontrado"
            if first is not None:
                inputs, ending = derived(stage, done[first].data), without(done[first])
            order = StageRequested(
                flight=plan.flight,
                order=uuid4().hex,
                stage=stage,
                kind=request.kind,
                value=identifier.value,
                digest=digest,
                input_kind=inputs.kind,
                inputs=inputs.values,
                slip=[later for later in missing if waits_for(request.kind, later) == stage],
                priority=priority,
                refresh=request.refresh,
                purpose=request.purpose,
                legal_basis=request.legal_basis,
            )
            orders.append(self.orders.stage(order, without=ending))
        await asyncio.gather(*orders)

    async def _answered(
        self, request: Requested, digest: str, stages: list[Stage], plan: Plan
    ) -> tuple[dict[str, Event], list[Stage]]:
        """What the flight has been told, by type, now by the cache too; and the stages it lacks."""
        log = [] if plan.verdict == "leads" else await self.lookups.log(plan.flight)
        done: dict[str, Event] = {event.type: event for event in map(decode_event, log)}
        entries = {} if request.refresh else await self.cache.read(request.kind, digest)
        missing = []
        for stage in stages:
            if stage not in done:
                entry = entries.get(stage)
                if entry is None or not entry.is_fresh():
                    missing.append(stage)
                    continue
                done[stage] = from_cache(stage, entry)
            if done[stage].cached:
                # Once more where whoever wrote it down may have died before it was told.
                await self.reporter.report(plan.flight, stage, done[stage], counts=True)
        return done, missing


def _subject(request: Requested, digest: str, stages: list[Stage]) -> str:
    """What makes two lookups identical.

    The purpose belongs to it: a person's data fetched on one legal basis is another call, and
    another access record at the provider, than the same data fetched on another.
    """
    purpose = f"{request.purpose}\0{request.legal_basis}".encode()
    mark = hashlib.sha256(purpose).hexdigest()[:16]
    return f"{digest}:{'+'.join(stages)}:{int(request.refresh)}:{mark}"
