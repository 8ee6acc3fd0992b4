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
from shared.cache import kept
from shared.domain.answers import ErrorCode
from shared.identifiers import Kind
from shared.limits import Permit
from shared.lookups import Claim, Lookups, Recorded, step_of
from shared.messages import STAGES, Event, Outcome, Stage, decode_event, unix
from shared.reporter import Reporter, event
from shared.results import analysis_entry, analysis_field, completed
from shared.store.record import Kept

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
    reporter: Reporter

    async def result(
        self, flight: str, about: Claim, events: list[Event], analysis: Event, permit: Permit
    ) -> None:
        """The analysis is made, of these events: write it down, with the end that it makes.

        With the end goes the analysis into the cache, in the same script, so that whoever has seen
        `completo` and asks again finds it there, as it finds the stages.

        Args:
            about: the claim under which it was made.
            permit: of it; it is settled with this.
        """
        end = completed(cast("Kind", about.kind), events, analysis.data)
        steps = [step_of("analysis", analysis), step_of("end", end)]
        kept = _kept(about.kind, about.digest, about.wanted, events, analysis)
        record = self.lookups.record_of(flight, steps, kept)
        record.used = permit.spent
        written = await self.lookups.write(record)
        permit.settled = True
        await self.reporter.tell(*written.steps)
        if written.is_new:
            _count(cast("Kind", about.kind), events)
        elif written.steps[-1].verdict == "stale":
            # Another analysis came first: the end is made of that one.
            await self.complete(flight)

    async def complete(self, flight: str) -> None:
        """Every stage and the analysis have ended, as the log has it: so has the lookup."""
        if (done := await self._complete(flight)) is not None:
            await self.reporter.tell(done)

    async def expire(self, task: str) -> None:
        """An asker's time is up: it gets what there is, the others of its flight fly on."""
        await self.tell(task, await self.conclude(task))

    async def conclude(self, task: str) -> list[Recorded]:
        """The first half of `expire`: write the end down, for which no broker is needed.

        Returns what is still to be told.
        """
        verdict, flight, last = await self.lookups.leave(task)
        if verdict == "again":
            return await self._untold(flight)
        if verdict not in {"alone", "parted"}:
            return []
        if last is not None:
            # Whoever was to end it so did not come to it.
            ends = [await self._fail(flight, last)]
        else:
            ends = await self._conclude(task, flight)
        return await self._untold(flight) if verdict == "parted" else ends

    async def tell(self, task: str, ends: list[Recorded]) -> None:
        """The second half: tell the asker; then nobody has to look after its deadline any more."""
        await self.reporter.tell(*ends)
        await self.lookups.settled(task)

    async def fail(self, flight: str, code: ErrorCode) -> None:
        """A flight cannot go on: everybody aboard is told."""
        await self.reporter.tell(await self._fail(flight, failed(code)))

    async def refuse(self, task: str, code: ErrorCode, message: str = "") -> bool:
        """A lookup cannot begin, or is not wanted any more.

        Returns False if that is not how it ended: something else came first.
        """
        end = failed(code, message, "cancelado" if code == "cancelado" else None)
        verdict, flight, first = await self.lookups.leave(task, end)
        ends: list[Recorded] = []
        if verdict in {"alone", "parted"}:
            await self._fail(flight, first or end)
        if verdict in {"alone", "parted", "again"}:
            # An order that is cut short is not carried out again, and so tells nothing again.
            ends = await self._untold(flight)
        await self.tell(task, ends)
        if not ends:
            return False
        last = decode_event(ends[-1].event)
        return (last.type, last.outcome) == (end.type, end.outcome)

    async def _complete(self, flight: str) -> Recorded | None:
        about, log = await asyncio.gather(self.lookups.flight(flight), self.lookups.log(flight))
        events = [decode_event(body) for body in log]
        analysis = next((event for event in events if event.type == "analysis"), None)
        if not about or analysis is None:
            return None  # it ended long ago, or in another way
        kind = cast("Kind", about["kind"])
        end = step_of("end", completed(kind, events, analysis.data))
        kept = _kept(kind, about["digest"], about["wanted"], events, analysis)
        written = await self.lookups.write(self.lookups.record_of(flight, [end], kept))
        [done] = written.steps
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
        late = [step_of(stage, event(stage, outcome="expirado"), counts=True) for stage in stages]
        # Nor is there time to wait for the analyzer; if it was done, that one stands.
        late.append(step_of("analysis", event("analysis", outcome="expirado")))
        ends = (await self.lookups.write(self.lookups.record_of(flight, late))).steps
        done = await self._complete(flight)
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


def _kept(kind: str, digest: str, wanted: str, events: list[Event], analysis: Event) -> list[Kept]:
    """The analysis as the cache keeps it, if it is worth keeping."""
    entry = analysis_entry(events, analysis)
    if entry is None:
        return []
    return [kept(kind, digest, {analysis_field(wanted.split(",")): entry})]


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
