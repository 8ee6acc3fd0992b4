"""Plan a lookup: what the cache can answer is answered, the rest is ordered."""

import asyncio
import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from msgspec import json

from shared.bus import Bus
from shared.cache import Cache, entries_of
from shared.errors import InvalidInput, StoreUnavailable
from shared.flow.ending import Endings
from shared.identifiers import Identifier, parse
from shared.lookups import Lookups, Plan, step_of
from shared.messages import (
    Event,
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
class Planned:
    """A lookup that has its flight, and what is to be done of it now."""

    request: Requested
    about: "About"
    plan: Plan
    first: Event
    orders: list[StageRequested]

    @property
    def is_new(self) -> bool:
        """Whether nobody knew of it before."""
        return self.plan.is_new

    @property
    def leads(self) -> bool:
        """Whether its flight is its own: `first` is the first event of it."""
        return self.plan.verdict == "leads"


@dataclass(frozen=True)
class Planner:
    """The first step of every lookup, in two halves: write it down, then have it done.

    A request on the bus is answered for by its message until both are done. Where a gateway plans,
    nothing is on the bus between the two, so there the flight is marked as `unsent`, and its
    lookups stand among those to begin: whoever sweeps sends the request of one whose gateway died,
    and tells everybody aboard what that gateway may have written down and not told.
    """

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
        await self.begin(await self.board(request))

    async def board(self, request: Requested, accepted: Mapping[str, str] | None = None) -> Planned:
        """The first half: give a lookup its flight.

        Args:
            accepted: what is to be known of it, where it is accepted by this. Then it is looked
                after from now on, should nobody come to `begin` it.

        Raises:
            InvalidInput: it cannot be looked up.
            StoreUnavailable: nothing was written, as far as is known.
        """
        identifier = parse(request.kind, request.identifier)
        stages = wanted(request.kind, request.stages)
        digest = self.cache.digest(identifier.kind, identifier.value)
        name = uuid4().hex
        about = About(request, identifier, digest, stages, name, name, request.priority)
        first = started(request.kind, stages, request.purpose, request.legal_basis)
        # What a new flight begins with where the cache knows nothing: mostly so, and else mended.
        orders = [about.order(stage) for stage in stages if waits_for(request.kind, stage) is None]
        plan = await self.lookups.plan(
            request,
            digest,
            asks(request, stages),
            stages,
            first,
            flight=name,
            orders=self.orders.places(orders),
            accepted=accepted,
        )
        if plan.verdict == "other":
            # Its events are about somebody else: neither asker may get the other's.
            raise InvalidInput("task_id", "já é o de uma consulta a outro identificador")
        return Planned(request, about, plan, first, orders)

    async def begin(self, planned: Planned, *, is_told: bool = False) -> None:
        """The second half: tell what there is to tell, and have done what is to be done.

        Args:
            is_told: whoever asks has the first event of a flight that it leads.

        Raises:
            Unavailable: done in part; doing it again completes it.
        """
        request, about, plan = planned.request, planned.about, planned.plan
        match plan.verdict:
            case "early":
                await self._put_off(request, plan)
            case "late":
                await self.endings.expire(request.task_id)
            case "ended":
                # Asked for again, by an asker who missed its end; or whoever planned it before
                # wrote something down, and died before it told those aboard.
                told = self.reporter.tell_one(request.task_id, plan.asker, plan.events)
                others = self.reporter.retell(plan.flight, besides=request.task_id)
                await asyncio.gather(told, others)
            case "joins":
                await self.reporter.tell_one(request.task_id, plan.asker, plan.events)
            case "leads":
                first = [] if is_told else [encode(planned.first)]
                told = self.reporter.tell_one(request.task_id, plan.asker, first)
                ordered = {order.stage: order for order in planned.orders}
                await self._start(about, plan, told, ordered)
            case "renews" | "again":
                about.flight = plan.flight
                about.priority = max(request.priority, plan.before)
                if plan.verdict == "again":
                    # Whoever planned it before may have told nobody aboard what it wrote down.
                    caught_up = self.reporter.retell(plan.flight)
                else:
                    caught_up = self.reporter.tell_one(request.task_id, plan.asker, plan.events)
                await self._start(about, plan, caught_up, {})

    async def _put_off(self, request: Requested, plan: Plan) -> None:
        # With its deadline, so that it starts and ends when it should, however late it is read.
        request.expires = datetime.fromtimestamp(plan.deadline, UTC)
        await self.lookups.schedule(request, plan.deadline - request.deadline)
        delay, request.delay = plan.seconds, 0
        await self.bus.command(
            REQUESTED,
            request,
            delay=delay,
            priority=request.priority,
            timeout=self.orders.patience,
        )

    async def _start(
        self,
        about: "About",
        plan: Plan,
        telling: Awaitable[None],
        ordered: Mapping[Stage, StageRequested],
    ) -> None:
        """Have a flight done, and meanwhile tell what there is to tell of it already."""
        # At once: neither needs the other's outcome.
        await asyncio.gather(telling, self._order(about, plan, ordered))
        if plan.unsent:
            # Should this not be written down, all is ordered and told once more, in vain.
            with suppress(StoreUnavailable):
                await self.lookups.sent(about.request.task_id, about.flight, about.name)

    async def _order(
        self, about: "About", plan: Plan, ordered: Mapping[Stage, StageRequested]
    ) -> None:
        """Answer what is fresh and order what is not; what has an outcome is left alone.

        This runs again for a lookup delivered twice, and for an asker who joins and is urgent or
        finds the orders old, since they may be lost. The new orders have the highest priority
        aboard, and the claim lets only one of two be done.

        Args:
            ordered: orders that stand in line already.
        """
        done, left = await self._answered(about, plan)
        missing = [stage for stage in about.stages if stage not in done]
        if "analysis" in done:
            await self.endings.complete(about.flight)
        elif left == 0:
            # Or all but those that the cache had: the others have ended since the plan was made.
            await self.orders.analysis(about.flight, about.priority)
        ready, others = [], []
        for stage in missing:
            first = waits_for(about.request.kind, stage)
            if first in missing:
                continue  # it is on the slip of the one it waits for
            if stage in ordered:
                order = ordered[stage]
                order.slip = about.slip(stage, missing)
                ready.append(order)
            elif first is None:
                others.append(self.orders.stage(about.order(stage, missing)))
            else:
                inputs, ending = derived(stage, done[first].data), without(done[first])
                order = about.order(stage, missing, inputs)
                others.append(self.orders.stage(order, without=ending))
        await asyncio.gather(self.orders.send(ready, plan.waits), *others)

    async def _answered(self, about: "About", plan: Plan) -> tuple[dict[str, Event], int]:
        """What the flight has been told, by type, now by the cache too; and how many stages it
        lacks, as far as is known here.
        """
        done: dict[str, Event] = {event.type: event for event in map(decode_event, plan.events)}
        entries = {} if about.request.refresh else entries_of(plan.entries)
        for stage in about.stages:
            entry = entries.get(stage)
            if stage not in done and entry is not None and entry.is_fresh():
                done[stage] = from_cache(stage, entry)
        # Once more where whoever wrote it down may have died before it was told.
        steps = [
            step_of(stage, done[stage], counts=True)
            for stage in about.stages
            if stage in done and done[stage].cached
        ]
        left = sum(stage not in done for stage in about.stages)
        if steps:
            written = await self.lookups.write(self.lookups.record_of(about.flight, steps))
            await self.reporter.tell(*written.steps)
            left = written.left
        return done, left


@dataclass
class About:
    """A lookup that is being planned, and the orders it may need."""

    request: Requested
    identifier: Identifier
    digest: str
    stages: list[Stage]
    # Of this plan, and of a flight that it leads.
    name: str
    flight: str
    priority: int

    def slip(self, stage: Stage, missing: Sequence[Stage]) -> list[Stage]:
        """Which of the missing stages wait for this one."""
        return [later for later in missing if waits_for(self.request.kind, later) == stage]

    def order(
        self, stage: Stage, missing: Sequence[Stage] | None = None, inputs: Inputs | None = None
    ) -> StageRequested:
        """The order of a stage.

        Args:
            missing: the stages without an outcome; all of them unless it is given.
            inputs: what the stage looks up, if that is not the lookup's own identifier.
        """
        request = self.request
        inputs = inputs or Inputs(request.kind, [self.identifier.value])
        return StageRequested(
            flight=self.flight,
            order=uuid4().hex,
            stage=stage,
            kind=request.kind,
            value=self.identifier.value,
            digest=self.digest,
            input_kind=inputs.kind,
            inputs=inputs.values,
            slip=self.slip(stage, self.stages if missing is None else missing),
            priority=self.priority,
            refresh=request.refresh,
            purpose=request.purpose,
            legal_basis=request.legal_basis,
        )


def asks(request: Requested, stages: list[Stage]) -> str:
    """What makes two lookups about the same subject identical.

    The purpose belongs to it: a person's data fetched on one legal basis is another call, and
    another access record at the provider, than the same data fetched on another.
    """
    purpose = json.encode((request.purpose, request.legal_basis))
    mark = hashlib.sha256(purpose).hexdigest()[:16]
    return f"{'+'.join(stages)}:{int(request.refresh)}:{mark}"
