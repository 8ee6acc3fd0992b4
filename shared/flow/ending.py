"""How lookups end: with their result, by their deadline, or with an error; each exactly once.

The log decides. Whichever replica comes first writes the end there, and all others, and whoever
does a step again after an outage, find it and at most tell it again.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from shared import metrics
from shared.cache import Cache
from shared.domain.answers import ErrorCode
from shared.errors import StoreUnavailable
from shared.flow.freshness import Freshness
from shared.identifiers import Kind
from shared.lookups import Lookups, Recorded
from shared.messages import STAGES, Event, Outcome, Stage, decode_event, unix
from shared.reporter import Reporter, event
from shared.results import analysis_entry, analysis_field, completed, to_cache

# What an `error` tells people. The invalid request has its own words.
MESSAGES: Final[Mapping[ErrorCode, str]] = {
    "cancelado": "cancelada por quem a pediu",
    "erro_interno": "erro nosso, já registrado; peça de novo",
    "estado_perdido": "o estado desta consulta se perdeu; peça de novo",
    "pedido_invalido": "o pedido não pôde ser lido",
    "prazo_esgotado": "o prazo acabou antes de a consulta começar; peça de novo",
}


def failed(code: ErrorCode, message: str = "", outcome: Outcome | None = None) -> Event:
    """An `error`: how a lookup ends that has no result."""
    data = {"codigo": code, "mensagem": message or MESSAGES[code]}
    return event("error", data, outcome)


@dataclass(frozen=True)
class Endings:
    """Ends lookups. Every method may be called again, by anybody, and raises Unavailable."""

    lookups: Lookups
    cache: Cache
    reporter: Reporter
    freshness: Freshness

    async def complete(self, flight: str) -> None:
        """Every stage and the analysis have ended: store what was fetched, then say so.

        In this order, so that whoever has seen `completo` and asks again finds it in the cache.
        """
        if (done := await self._complete(flight)) is not None:
            await self.reporter.tell(done)

    async def expire(self, task: str) -> None:
        """An asker's time is up: it gets what there is, the others of its flight fly on."""
        await self.tell(task, await self.conclude(task))

    async def conclude(self, task: str) -> list[Recorded]:
        """The first half of `expire`: write the end down, for which no broker is needed.

        Returns what is still to be told.
        """
        verdict, flight = await self.lookups.leave(task)
        if verdict == "again":
            return await self._untold(flight)
        return await self._conclude(task, flight) if verdict == "alone" else []

    async def tell(self, task: str, ends: list[Recorded]) -> None:
        """The second half: tell the asker; then nobody has to look after its deadline any more."""
        for recorded in ends:
            await self.reporter.tell(recorded)
        await self.lookups.settled(task)

    async def fail(self, flight: str, code: ErrorCode) -> None:
        """A flight cannot go on: everybody aboard is told."""
        await self.reporter.tell(await self._fail(flight, failed(code)))

    async def refuse(self, task: str, code: ErrorCode, message: str = "") -> bool:
        """A lookup cannot begin, or is not wanted any more.

        Returns False if that is not how it ended: something else came first.
        """
        verdict, flight = await self.lookups.leave(task)
        end = failed(code, message, "cancelado" if code == "cancelado" else None)
        ends: list[Recorded] = []
        if verdict == "again":
            ends = await self._untold(flight)
        elif verdict == "alone":
            ends.append(await self._fail(flight, end))
        await self.tell(task, ends)
        if not ends or ends[-1].verdict == "ended":
            return False
        last = decode_event(ends[-1].event)
        return (last.type, last.outcome) == (end.type, end.outcome)

    async def _complete(self, flight: str, *, is_due: bool = False) -> Recorded | None:
        about, log = await asyncio.gather(self.lookups.flight(flight), self.lookups.log(flight))
        events = [decode_event(body) for body in log]
        analysis = next((event for event in events if event.type == "analysis"), None)
        if not about or analysis is None:
            return None  # it ended long ago, or in another way
        entries = to_cache(events, self.freshness.ttl, self.freshness.ttl_not_found)
        if (kept := analysis_entry(events, analysis)) is not None:
            entries[analysis_field(_wanted(about))] = kept
        kind = cast("Kind", about["kind"])
        try:
            await self.cache.write(kind, about["digest"], entries)
        except StoreUnavailable:
            # With the memory full nothing can be kept, but what is due can still be ended.
            if not is_due:
                raise
        end = completed(kind, events, analysis.data)
        done = await self.lookups.record(flight, "end", end)
        if done.verdict == "new":
            _count(kind, events)
        return done

    async def _conclude(self, task: str, flight: str) -> list[Recorded]:
        stages = _wanted(await self.lookups.flight(flight))
        if not stages:
            # There is nothing to show for it, so whoever repeats it under its key begins anew.
            # First, since nobody comes back to it once the end stands written.
            await self.lookups.forget_once(task)
            return [await self._fail(flight, failed("prazo_esgotado"))]
        ends = []
        for stage in stages:
            late = event(stage, outcome="expirado")
            ends.append(await self.lookups.record(flight, stage, late, counts=True))
        # Nor is there time to wait for the analyzer; if it was done, that one stands.
        late = event("analysis", outcome="expirado")
        ends.append(await self.lookups.record(flight, "analysis", late))
        done = await self._complete(flight, is_due=True)
        return [*ends, done] if done is not None else ends

    async def _untold(self, flight: str) -> list[Recorded]:
        """All of its log: whoever ended it met an outage, or died, before it told the end."""
        askers, log = await asyncio.gather(self.lookups.askers(flight), self.lookups.log(flight))
        return [Recorded("again", seq, 0, body, askers) for seq, body in enumerate(log, 1)]

    async def _fail(self, flight: str, end: Event) -> Recorded:
        recorded = await self.lookups.record(flight, "end", end)
        if recorded.verdict == "new":
            about = await self.lookups.flight(flight)
            metrics.lookups.labels(about.get("kind") or "unknown", "error").inc()
        return recorded


def _wanted(about: Mapping[str, str]) -> list[Stage]:
    wanted = about.get("wanted", "").split(",")
    return [stage for stage in STAGES if stage in wanted]


def _count(kind: Kind, events: list[Event]) -> None:
    stages = [event for event in events if event.type in STAGES]
    answered = all(event.outcome in {"ok", "nao_encontrado"} for event in stages)
    cached = all(event.cached for event in stages)
    metrics.lookups.labels(kind, "completo" if answered else "parcial").inc()
    took = time.time() - unix(events[0].timestamp)
    metrics.lookup_duration.labels(kind, "hit" if cached else "miss").observe(max(0.0, took))
