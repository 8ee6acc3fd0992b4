"""Order the next piece of work on a flight, and say so when it has to wait for its limit."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from msgspec.structs import replace

from shared.bus import CONFIRM_TIMEOUT, Bus
from shared.cache import kept
from shared.domain.trace import carrying
from shared.flow.freshness import Freshness
from shared.limits import Limit, Limiter
from shared.lookups import flight_key, waiting_key
from shared.messages import AnalysisRequested, Outcome, StageRequested, decode, encode, instant
from shared.reporter import Reporter, event
from shared.settings import limit, setting
from shared.store.record import Place
from shared.topology import ANALYSIS, MAX_PRIORITY, STAGE_QUEUES, Queue

# Below this a wait is not worth an event of its own.
_NOTABLE_S: Final = 0.1


@dataclass(frozen=True)
class Rates:
    """The limits of the queues, over all replicas. Whoever orders or takes work reads them."""

    rate_telegram: Limit = setting(limit("stage.telegram"), "200/min")
    rate_endereco: Limit = setting(limit("stage.endereco"), "50/min")
    rate_telefone: Limit = setting(limit("stage.telefone"), "50/min")
    rate_cadastro: Limit = setting(limit("stage.cadastro"), "50/min")
    rate_analysis: Limit = setting(limit("analysis.requested"), "20/min")

    @property
    def of(self) -> Mapping[str, Limit]:
        """Limits by queue name."""
        limits = (
            self.rate_telegram,
            self.rate_endereco,
            self.rate_telefone,
            self.rate_cadastro,
            self.rate_analysis,
        )
        return {limit.name: limit for limit in limits}


class Orders:
    """Publishes work. Ordering twice is safe: the second order's claim is refused."""

    def __init__(
        self,
        bus: Bus,
        limiter: Limiter,
        reporter: Reporter,
        rates: Rates,
        freshness: Freshness,
        *,
        patience: float = CONFIRM_TIMEOUT,
    ) -> None:
        self._bus, self._limiter, self._reporter = bus, limiter, reporter
        # Seconds to wait for the broker's confirm.
        self.patience = patience
        self._freshness = freshness
        self._limits = rates.of

    async def stage(self, order: StageRequested, *, without: Outcome = "nao_encontrado") -> None:
        """Have a stage done.

        Args:
            without: what it ends as, at once, where there is nothing to look up.
        """
        if order.inputs:
            await self._order(order)
            return
        ended = event(order.stage, outcome=without)
        entries = self._freshness.entries(ended)
        learnt = [kept(order.kind, order.digest, entries)] if entries else []
        recorded = await self._reporter.report(
            order.flight, order.stage, ended, counts=True, kept=learnt
        )
        if recorded.left == 0:
            await self.analysis(order.flight, order.priority)

    async def analysis(self, flight: str, priority: int) -> None:
        """Have the result made: the last stage has ended."""
        order = AnalysisRequested(flight=flight, order=uuid4().hex, priority=priority)
        await self._order(order)

    async def hurry(self, queue: Queue, overdue: bytes) -> None:
        """Order again, before all others, what others have overtaken too often."""
        if overdue:
            order = decode(overdue, queue.message)
            again = replace(order, order=uuid4().hex, priority=MAX_PRIORITY)
            # Somebody else's order, and no part of the trace of what is handled here.
            with carrying(None):
                await self._bus.command(queue, again, priority=MAX_PRIORITY)

    def place(self, order: StageRequested | AnalysisRequested) -> Place | None:
        """Where this order stands in line; None where its queue has no limit, and so no line."""
        queue, step = _where(order)
        limit = self._limits[queue.name]
        if not limit:
            return None
        return Place(
            waiting=waiting_key(queue.name),
            permits=limit.key,
            step=step,
            order=encode(order).decode(),
            windows=limit.arguments,
        )

    def places(self, orders: Sequence[StageRequested | AnalysisRequested]) -> list[Place]:
        """The places of those orders that have one."""
        return [place for order in orders if (place := self.place(order)) is not None]

    async def send(
        self, orders: Sequence[StageRequested | AnalysisRequested], waits: Mapping[str, float]
    ) -> None:
        """Publish orders that stand in line where they have to.

        Args:
            waits: for how many seconds, by step.
        """
        await asyncio.gather(
            *(self._send(order, waits.get(_where(order)[1], 0.0)) for order in orders)
        )

    async def _send(self, order: StageRequested | AnalysisRequested, wait: float) -> None:
        queue, step = _where(order)
        # Even if it stands there already: who wrote it down may have died before it was told.
        await self._waits(order.flight, step, wait, once=False)
        await self._bus.command(queue, order, priority=order.priority, timeout=self.patience)

    async def _order(self, order: StageRequested | AnalysisRequested) -> None:
        queue, step = _where(order)
        wait, limit = 0.0, self._limits[queue.name]
        if limit:
            keys = (waiting_key(queue.name), flight_key(order.flight))
            wait = await self._limiter.expect(limit, keys, order.flight, step, encode(order))
        await self._send(order, wait)

    async def waits(self, flight: str, step: str, seconds: float) -> None:
        """Say, once for each step, that a limit makes it wait so long."""
        await self._waits(flight, step, seconds, once=True)

    async def _waits(self, flight: str, step: str, seconds: float, *, once: bool) -> None:
        if seconds > _NOTABLE_S:
            retry_at = instant(time.time() + seconds)
            waiting = event("aguardando", {"etapa": step, "retry_at": retry_at})
            await self._reporter.report(flight, f"aguardando:{step}", waiting, once=once)


def _where(order: StageRequested | AnalysisRequested) -> tuple[Queue, str]:
    """The queue of an order, and the step of the flight that it is for."""
    if isinstance(order, AnalysisRequested):
        return ANALYSIS, "analysis"
    return STAGE_QUEUES[order.stage], order.stage
