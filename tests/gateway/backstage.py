"""The services behind the gateway, played by hand: each event comes when the test says."""

from dataclasses import dataclass
from typing import Any

from shared.lookups import Lookups
from shared.messages import Event, Requested, encode
from shared.reporter import Reporter, event
from shared.results import started


@dataclass
class Backstage:
    """The services behind the gateway, played by hand."""

    lookups: Lookups
    reporter: Reporter

    async def begin(self, task_id: str) -> str:
        """Plan a lookup of one stage and tell `iniciado`. Returns its flight."""
        request = Requested(
            task_id=task_id, origin="gateway", identifier="01001000", kind="cep", deadline=600
        )
        begun = started("cep", ["endereco"])
        # A subject of its own each time, so that no two lookups here share a flight.
        plan = await self.lookups.plan(request, "d", task_id, ["endereco"], begun)
        told = plan.events or [encode(begun)]
        await self.reporter.tell_one(task_id, plan.asker, told)
        return plan.flight

    async def tell(self, flight: str, step: str, told: Event) -> None:
        """The outcome of a step: written down, then published."""
        await self.reporter.report(flight, step, told)

    async def end(self, flight: str, data: Any = None) -> None:
        """The last event."""
        await self.tell(flight, "end", event("completo", data or {"etapas": {}}))

    async def whole(self, task_id: str) -> str:
        """A lookup from its first event to its last. Returns its flight."""
        flight = await self.begin(task_id)
        await self.tell(flight, "endereco", event("endereco", {"cep": "01001000"}, "ok"))
        await self.end(flight)
        return flight
