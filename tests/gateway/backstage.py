"""The services that carry out what a gateway orders, played by hand: each event comes when the
test says.
"""

from dataclasses import dataclass
from typing import Any

from shared.lookups import Lookups
from shared.messages import Event
from shared.reporter import Reporter, event


@dataclass
class Backstage:
    """The services behind the gateway, played by hand."""

    lookups: Lookups
    reporter: Reporter

    async def flight(self, task_id: str) -> str:
        """The flight that a gateway has begun for a lookup, and told `iniciado` of."""
        view = await self.lookups.view(task_id)
        assert view is not None
        return view.lookup["flight"]

    async def tell(self, flight: str, step: str, told: Event) -> None:
        """The outcome of a step: written down, then published."""
        await self.reporter.report(flight, step, told)

    async def end(self, flight: str, data: Any = None) -> None:
        """The last event."""
        await self.tell(flight, "end", event("completo", data or {"etapas": {}}))

    async def whole(self, task_id: str) -> str:
        """A lookup to its last event. Returns its flight."""
        flight = await self.flight(task_id)
        await self.tell(flight, "endereco", event("endereco", {"cep": "01001000"}, "ok"))
        await self.end(flight)
        return flight
