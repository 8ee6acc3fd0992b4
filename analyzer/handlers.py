"""What the analyzer does with each message."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from analyzer.merge import analyze
from shared.consumer import Delivery
from shared.errors import Undecodable
from shared.flow.claims import Claims
from shared.flow.ending import Endings
from shared.identifiers import Kind
from shared.limits import Limiter, Permit
from shared.lookups import Claim
from shared.messages import STAGES, AnalysisRequested, decode, decode_event
from shared.orders import Orders
from shared.reporter import Reporter, event
from shared.topology import ANALYSIS, Queue


@dataclass(frozen=True)
class Handlers:
    """Makes one result of a flight's stages."""

    reporter: Reporter
    orders: Orders
    endings: Endings
    limiter: Limiter
    claims: Claims

    async def on_analysis_requested(
        self, order: AnalysisRequested, _: Delivery, permit: Permit
    ) -> None:
        """Every stage has ended: merge them, say `analysis`, and end the lookup."""
        about = order.flight, "analysis", order.order, ANALYSIS.name
        async with self.claims.held(*about) as claim:
            await self._claimed(order, permit, claim)

    async def _claimed(self, order: AnalysisRequested, permit: Permit, claim: Claim) -> None:
        await self.orders.hurry(ANALYSIS, claim.overdue)
        if claim.verdict == "drop":
            return
        if claim.verdict != "go":
            await self.reporter.retell(order.flight)
        if claim.verdict == "repeat":
            # The end may be missing, or not have been told.
            await self.endings.complete(order.flight)
            return
        # Held through an outage, it may be too old to count.
        if wait := await self.limiter.renew(permit, 0):
            await self.claims.put_off(
                order.flight, "analysis", order.order, ANALYSIS.name, wait, order
            )
            return
        permit.used = True
        events = [decode_event(body) for body in claim.events]
        stages = [event for event in events if event.type in STAGES]
        analysis = analyze(cast("Kind", claim.kind), stages, today=datetime.now(UTC).date())
        made = event("analysis", analysis, "ok")
        await self.endings.result(order.flight, claim, events, made, permit)

    async def on_dead(self, queue: Queue, body: bytes, _: str, __: str) -> None:
        """A result that cannot be made must not leave its lookup waiting."""
        with suppress(Undecodable):
            await self.endings.fail(decode(body, AnalysisRequested).flight, "erro_interno")
