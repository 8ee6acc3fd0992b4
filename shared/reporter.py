"""Tell askers what happened: first into the flight's log, then onto the bus."""

import asyncio
from typing import Any

from msgspec import Struct, json

from shared.bus import Bus
from shared.lookups import Lookups, Recorded
from shared.messages import Event, EventType, Outcome, addressed, now
from shared.topology import event_key


class _Typed(Struct):
    tipo: str


_type = json.Decoder(_Typed)


class Reporter:
    """Records events and publishes them to everybody aboard the flight."""

    def __init__(self, bus: Bus, lookups: Lookups) -> None:
        self._bus, self._lookups = bus, lookups

    async def report(
        self, flight: str, step: str, event: Event, *, counts: bool = False, once: bool = False
    ) -> Recorded:
        """Give a step its event, once, and publish it.

        Args:
            counts: the step is one of the stages the flight waits for.
            once: an event that the step had before is not published again.

        Raises:
            Unavailable: done in part or not at all; doing it again completes it.
        """
        recorded = await self._lookups.record(flight, step, event, counts=counts)
        if recorded.verdict == "new" or not once:
            await self.tell(recorded)
        return recorded

    async def tell(self, recorded: Recorded) -> None:
        """Publish an event that stands in the log to every asker."""
        if recorded.verdict != "ended":
            type_ = _type.decode(recorded.event).tipo
            await asyncio.gather(
                *(
                    self._bus.event(
                        event_key(origin, task, type_),
                        addressed(recorded.event, task, recorded.seq),
                    )
                    for task, origin in recorded.askers.items()
                )
            )

    async def retell(self, flight: str) -> None:
        """Publish a flight's whole log to everybody aboard.

        For work that is taken up again: whoever had it before may have written down more than the
        one event that is known of, and told none of it.
        """
        for task, origin in (await self._lookups.askers(flight)).items():
            await self.catch_up(task, origin)

    async def catch_up(self, task: str, origin: str) -> None:
        """Publish a lookup's whole log to its asker, who came aboard in flight."""
        view = await self._lookups.view(task)
        for body in view.events if view else ():
            await self._bus.event(event_key(origin, task, _type.decode(body).tipo), body)


def event(type_: EventType, data: Any = None, outcome: Outcome | None = None) -> Event:
    """An event of this instant, without an asker or a place in the log yet."""
    made = Event(type=type_, timestamp=now(), data=data)
    if outcome is not None:
        made.outcome = outcome
    return made
