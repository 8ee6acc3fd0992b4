"""Tell askers what happened: first into the flight's log, then onto the bus.

An asker is its origin and, where that is a gateway, those gateways that have a client for it. They
are sent news; any other origin gets each event as a message of its own, persistent and confirmed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct, json

from shared.bus import Bus
from shared.courier import News
from shared.lookups import Lookups, Recorded
from shared.messages import Event, EventType, Outcome, addressed, now
from shared.store.record import Kept
from shared.topology import event_key

# Confirms to wait for at a time: a flight may have thousands aboard.
TOGETHER: Final = 500
# Whoever is told by news, and by nothing else.
GATEWAY: Final = "gateway"


class _Typed(Struct):
    tipo: str


_type = json.Decoder(_Typed)


class Reporter:
    """Records events and publishes them to everybody aboard the flight."""

    def __init__(self, bus: Bus, lookups: Lookups) -> None:
        self._bus, self._lookups = bus, lookups

    async def report(
        self,
        flight: str,
        step: str,
        event: Event,
        *,
        counts: bool = False,
        once: bool = False,
        kept: Sequence[Kept] = (),
    ) -> Recorded:
        """Give a step its event, once, and publish it.

        Args:
            counts: the step is one of the stages the flight waits for.
            once: an event that the step had before is not published again.
            kept: what the cache learns of it.

        Raises:
            Unavailable: done in part or not at all; doing it again completes it.
        """
        recorded = await self._lookups.record(flight, step, event, counts=counts, kept=kept)
        if recorded.verdict == "new" or not once:
            await self.tell(recorded)
        return recorded

    async def tell(self, *steps: Recorded) -> None:
        """Publish events of one flight that stand in its log to every asker, in their order."""
        told = [step for step in steps if step.verdict in {"new", "again"}]
        if told:
            await self._publish(told[-1].askers, [(step.seq, step.event) for step in told])

    async def retell(self, flight: str, *, besides: str = "") -> None:
        """Publish a flight's whole log to everybody aboard.

        For work that is taken up again: whoever had it before may have written down more than the
        one event that is known of, and told none of it.

        Args:
            besides: a task that is told in another way.
        """
        # In this order: whoever is aboard then shares what had been told by then.
        log = await self._lookups.log(flight)
        askers = await self._lookups.askers(flight)
        askers.pop(besides, None)
        await self._publish(askers, list(enumerate(log, 1)))

    async def tell_one(self, task: str, asker: str, log: Iterable[bytes]) -> None:
        """Publish a flight's log, from its first event on, to one asker."""
        await self._publish({task: asker}, list(enumerate(log, 1)))

    async def _publish(
        self, askers: Mapping[str, str], events: Sequence[tuple[int, bytes]]
    ) -> None:
        listening: defaultdict[str, list[str]] = defaultdict(list)
        others: list[tuple[str, str]] = []
        for task, asker in askers.items():
            origin, *listeners = asker.split()
            for listener in listeners:
                listening[listener].append(task)
            if origin != GATEWAY:
                others.append((task, origin))
        typed = [(seq, _type.decode(body).tipo, body) for seq, body in events]
        for seq, type_, body in typed:
            for listener, tasks in listening.items():
                self._bus.news(listener, News(tasks, seq, type_, body))
        sending = (
            self._bus.event(event_key(origin, task, type_), addressed(body, task, seq))
            for seq, type_, body in typed
            for task, origin in others
        )
        # One channel keeps them in order. Waiting for each confirm before the next is sent, a busy
        # broker would take as many of its turns to tell an end as there are events.
        while part := list(islice(sending, TOGETHER)):
            await asyncio.gather(*part)


def event(type_: EventType, data: Any = None, outcome: Outcome | None = None) -> Event:
    """An event of this instant, without an asker or a place in the log yet."""
    made = Event(type=type_, timestamp=now(), data=data)
    if outcome is not None:
        made.outcome = outcome
    return made
