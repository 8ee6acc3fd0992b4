"""What an enricher does with each message."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from msgspec import convert, structs

from enricher.call import Guarded
from enricher.calling.dates import Dates
from enricher.chain import Chain, answered, unanswered
from enricher.failures import Failure
from enricher.fallback import Fallback
from enricher.permits import Permits
from enricher.providers.base import Answer, Query
from enricher.reference import Reference, is_reference
from shared import metrics
from shared.cache import kept
from shared.consumer import Delivery, PutOff
from shared.errors import StoreUnavailable, Unavailable, Undecodable
from shared.flow.claims import Claims, root
from shared.flow.freshness import Freshness
from shared.identifiers import Kind
from shared.limits import Limiter, Permit
from shared.lookups import Claim, Lookups, Recorded, step_of
from shared.messages import (
    AnalysisRequested,
    Event,
    Stage,
    StageRequested,
    decode,
    decode_event,
    encode,
    now,
)
from shared.orders import Orders
from shared.records import Phone, Phones
from shared.reporter import Reporter
from shared.stages import Inputs, derived, without
from shared.store.record import Kept
from shared.topology import Queue

# Left of a lookup's time for the analysis, so that a hanging provider costs no result.
MARGIN_S = 1.5
MARGIN_SHARE = 0.2


@dataclass(frozen=True)
class Handlers:
    """Does one stage. `links` are the providers by kind of input, in the order they are asked."""

    stage: Stage
    queue: Queue
    links: Mapping[Kind, list[Guarded]]
    lookups: Lookups
    limiter: Limiter
    reporter: Reporter
    orders: Orders
    reference: Reference
    dates: Dates
    freshness: Freshness
    fallback: Fallback
    claims: Claims
    hedging: bool = False
    # What has been found out by this process and could not be written down yet, by order: nobody
    # is asked again for it.
    unrecorded: dict[str, Event] = field(default_factory=dict)

    async def on_stage_requested(self, order: StageRequested, _: Delivery, permit: Permit) -> None:
        """Do the stage, say so, and order what comes next."""
        if self.claims.has(order.order):
            # Its delivery here lost its connection and goes on: somebody else may have the permit.
            await self.limiter.settle(permit)
        async with self.claims.alone(order.order):
            asked = time.monotonic()
            about = order.flight, self.stage, order.order, self.queue.name
            async with self.claims.held(*about) as claim:
                await self._claimed(order, permit, claim, asked + claim.left)

    async def _claimed(
        self, order: StageRequested, permit: Permit, claim: Claim, deadline: float
    ) -> None:
        if claim.verdict in {"drop", "repeat"}:
            self.unrecorded.pop(order.order, None)
        await self.orders.hurry(self.queue, claim.overdue)
        if claim.verdict == "drop":
            return
        order.priority = max(claim.priority, order.priority)
        if claim.tried:
            # Further than this one, if this one is from before: delivered again, or a newcomer's.
            tried = decode(claim.tried, StageRequested)
            order.inputs, order.numbers = tried.inputs, tried.numbers
            order.attempts, order.tries = tried.attempts, tried.tries
        if claim.verdict != "go":
            await self.reporter.retell(order.flight)
        if claim.verdict == "repeat":
            recorded = await self.lookups.record(order.flight, self.stage, None)
        else:
            event = self.unrecorded.pop(order.order, None)
            if event is None:
                permits = self._permits(order, permit)
                try:
                    event = await self._do(order, deadline, permits)
                except PutOff as later:
                    again = decode(later.body or encode(order), StageRequested)
                    await self.claims.put_off(
                        order.flight,
                        self.stage,
                        order.order,
                        self.queue.name,
                        later.seconds,
                        again,
                    )
                    return
            try:
                before = await self._write(order, event, permit)
            except Unavailable:
                self._keep(order.order, event, deadline)
                raise
            if before is None:
                return
            recorded = before
        await self._go_on(order, recorded)

    async def _write(self, order: StageRequested, event: Event, permit: Permit) -> Recorded | None:
        """Write down what was found out, in one stroke with all that follows, and say so.

        Returns nothing if all of it is done. Else somebody has been here before, and may have died
        before what follows was ordered: then the outcome that stands, of whoever it is.
        """
        following: list[StageRequested] = []
        ended: list[Event] = []
        steps = [step_of(self.stage, event, counts=True)]
        for stage in order.slip:
            inputs = derived(stage, event.data)
            if inputs.values:
                following.append(_following(order, stage, inputs))
            else:
                ended.append(Event(type=stage, timestamp=now(), outcome=without(event)))
                steps.append(step_of(stage, ended[-1], counts=True, derived=True))
        analysis = AnalysisRequested(
            flight=order.flight, order=uuid4().hex, priority=order.priority
        )
        record = self.lookups.record_of(order.flight, steps, self._kept(order, event, ended))
        record.used = permit.spent
        record.following = self.orders.places(following)
        record.analysis = self.orders.place(analysis)
        written = await self.lookups.write(record)
        permit.settled = True
        first = written.steps[0]
        if first.verdict == "new":
            self._count(event)
        telling = self.reporter.tell(*written.steps)
        if not written.is_new:
            await telling
            return first
        last = [analysis] if written.left == 0 else []
        await asyncio.gather(telling, self.orders.send([*following, *last], written.waits))
        return None

    def _kept(self, order: StageRequested, event: Event, ended: list[Event]) -> list[Kept]:
        """What the cache learns: the subject's answer, and that of the CEP it was looked up by.

        Args:
            ended: stages that have nothing to look up in it.
        """
        entries = self.freshness.entries(event)
        if not entries:
            return []
        found = [kept(order.kind, order.digest, self.freshness.entries(event, *ended))]
        # Unless it has it from there.
        if is_reference(order) and event.outcome == "ok" and event.fetched == event.timestamp:
            found.append(self.reference.kept(order.inputs[0], entries))
        return found

    def _keep(self, order: str, event: Event, deadline: float) -> None:
        self.unrecorded[order] = event
        # Nobody has any use for it once its flight is over.
        left = max(0.0, deadline - time.monotonic())
        asyncio.get_running_loop().call_later(left, self.unrecorded.pop, order, None)

    async def on_dead(self, queue: Queue, body: bytes, _: str, __: str) -> None:
        """An order that cannot be done must not leave its lookup waiting."""
        try:
            order = decode(body, StageRequested)
        except Undecodable:
            return
        event = Event(type=self.stage, timestamp=now(), outcome="indisponivel")
        recorded = await self.reporter.report(order.flight, self.stage, event, counts=True)
        await self._go_on(order, recorded)

    def _permits(self, order: StageRequested, first: Permit) -> Permits:
        return Permits(
            self.limiter,
            first,
            on_wait=lambda wait: self.orders.waits(order.flight, self.stage, wait),
            mark=lambda provider: self.claims.mark(order.flight, self.stage, provider),
            unmark=lambda provider, mark: self.claims.unmark(
                order.flight, self.stage, provider, mark
            ),
            made=Counter(order.tries),
        )

    async def _do(self, order: StageRequested, deadline: float, permits: Permits) -> Event:
        began = time.monotonic()
        margin = min(MARGIN_S, max(0.0, MARGIN_SHARE * (deadline - began)))
        if (known := await self._known(order)) is not None:
            return known
        chain = Chain(
            self.stage, self.links.get(order.input_kind, []), self.hedging, [*order.attempts]
        )
        found = await self._ask(order, chain, permits, deadline, margin)
        if isinstance(found, Failure):
            provider = chain.attempts[-1].provider if chain.attempts else ""
            event = await self.fallback.find(order, found) or unanswered(
                self.stage, found, provider
            )
        else:
            event = answered(self.stage, *found)
        event.attempts = chain.attempts
        event.duration_ms = round((time.monotonic() - began) * 1000)
        return event

    async def _ask(
        self,
        order: StageRequested,
        chain: Chain,
        permits: Permits,
        deadline: float,
        margin: float,
    ) -> tuple[Answer, str] | Failure:
        """One answer for all inputs: phones come several to a company."""
        answers: list[tuple[Answer, str]] = []

        async def wanted() -> bool:
            return await self.lookups.is_open(order.flight)

        async def latest() -> float:
            asked = time.monotonic()
            try:
                return asked + await self.lookups.left(order.flight) - margin
            except StoreUnavailable:
                return deadline - margin

        for place, value in enumerate(order.inputs):
            query = Query(
                stage=self.stage,
                kind=order.input_kind,
                value=value,
                request_id=root(order.order),
                purpose=order.purpose,
                legal_basis=order.legal_basis,
            )

            try:
                found = await chain.ask(
                    query, permits, deadline=deadline - margin, wanted=wanted, latest=latest
                )
            except PutOff as later:
                again = structs.replace(
                    order,
                    inputs=order.inputs[place:],
                    attempts=chain.attempts,
                    tries=dict(permits.made),
                    numbers=[*order.numbers, *_numbers(answers)],
                )
                raise PutOff(later.seconds, encode(again)) from None
            if isinstance(found, Failure):
                return found
            answers.append(found)
        answer, provider = answers[0]
        if isinstance(answer.record, Phones):
            numbers = [*convert(order.numbers, list[Phone]), *_numbers(answers)]
            answer = replace(answer, record=await self.reference.located(numbers, wanted))
        if answer.source_date is None:
            answer = replace(answer, source_date=await self.dates.of(provider, wanted))
        return answer, provider

    async def _known(self, order: StageRequested) -> Event | None:
        if not is_reference(order) or order.refresh:
            return None
        return await self.reference.address(order.inputs[0])

    async def _go_on(self, order: StageRequested, recorded: Recorded) -> None:
        """Order the stages that waited for this one, or, after the last, the analysis."""
        if recorded.verdict == "ended":
            return
        event = decode_event(recorded.event)
        for stage in order.slip:
            following = _following(order, stage, derived(stage, event.data))
            await self.orders.stage(following, without=without(event))
        if recorded.left == 0:
            await self.orders.analysis(order.flight, order.priority)

    def _count(self, event: Event) -> None:
        provider = str(event.source or "none")
        metrics.stages.labels(self.stage, provider, event.outcome).inc()
        seconds = (event.duration_ms or 0) / 1000
        metrics.stage_duration.labels(self.stage, provider).observe(seconds)


def _following(order: StageRequested, stage: Stage, inputs: Inputs) -> StageRequested:
    """The order of a stage that waited for the one of this order."""
    return structs.replace(
        order,
        order=uuid4().hex,
        stage=stage,
        input_kind=inputs.kind,
        inputs=inputs.values,
        slip=[],
        attempts=[],
        tries={},
        numbers=[],
    )


def _numbers(answers: list[tuple[Answer, str]]) -> list[Phone]:
    records = [answer.record for answer, _ in answers if isinstance(answer.record, Phones)]
    return [number for record in records for number in record.numbers]
