"""A lookup's result: from the events of its stages, or, on a hit, all of it from the cache."""

import time
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from shared.cache import Entries, Entry
from shared.identifiers import Kind
from shared.messages import STAGES, Event, Stage, now, unix

# Outcomes that are an answer, and so are worth keeping. The rest are about a moment.
ANSWERS = frozenset({"ok", "nao_encontrado"})


def started(
    kind: Kind,
    wanted: Sequence[Stage],
    purpose: str | None = None,
    legal_basis: str | None = None,
) -> Event:
    """`iniciado`: the stages to expect, and what the asker said the lookup is for.

    A flight may tell it, since only askers of one purpose and one legal basis share one.
    """
    data: dict[str, Any] = {"tipo": kind, "etapas": list(wanted)}
    given = {"finalidade": purpose, "base_legal": legal_basis}
    data.update((name, text) for name, text in given.items() if text is not None)
    return Event(type="iniciado", timestamp=now(), data=data)


def from_cache(stage: Stage, entry: Entry) -> Event:
    """A stage answered by the cache."""
    return Event(
        type=stage,
        timestamp=now(),
        data=entry.data,
        outcome=entry.outcome,
        source=entry.source,
        duration_ms=0,
        age_s=entry.age(),
        fetched=entry.fetched,
        cached=True,
    )


def to_cache(events: Sequence[Event], ttl: dict[Stage, float], brief: float) -> Entries:
    """What the cache does not know yet: the stages that providers just answered.

    Args:
        ttl: seconds an answer is fresh, by stage.
        brief: seconds for an authoritative "not found", which tomorrow may be wrong.
    """
    entries: Entries = {}
    for event in events:
        if event.type not in STAGES or event.cached or event.outcome not in ANSWERS:
            continue
        fetched = str(event.fetched or event.timestamp)
        lifetime = ttl[event.type] if event.outcome == "ok" else min(brief, ttl[event.type])
        entries[event.type] = Entry(
            data=event.data,
            source=str(event.source or ""),
            fetched=fetched,
            fresh_until=unix(fetched) + lifetime,
            outcome="ok" if event.outcome == "ok" else "nao_encontrado",
        )
    return entries


def analysis_field(wanted: Sequence[str]) -> str:
    """Where a subject's hash keeps the analysis of these stages."""
    return f"analysis:{'+'.join(sorted(wanted))}"


def analysis_entry(events: Sequence[Event], analysis: Event) -> Entry | None:
    """The analysis for the cache; None if a stage of it is not worth keeping.

    It holds only together with the very answers it was made of, so it names them: a hit needs
    the same ones still there.
    """
    stages = [event for event in events if event.type in STAGES]
    if analysis.data is None or any(event.outcome not in ANSWERS for event in stages):
        return None
    basis = {event.type: event.fetched or event.timestamp for event in stages}
    return Entry(
        data={"base": basis, "analise": analysis.data},
        source="analyzer",
        fetched=analysis.timestamp,
        fresh_until=time.time() + 365 * 86400,
    )


def completed(kind: Kind, events: Sequence[Event], analysis: Any) -> Event:
    """`completo`: every stage with where its data is from, and the analysis."""
    stages = {event.type: _stage(event) for event in events if event.type in STAGES}
    data = {"tipo": kind, "etapas": stages, "analise": analysis}
    cached = bool(stages) and all(event.cached for event in events if event.type in STAGES)
    return Event(type="completo", timestamp=now(), data=data, outcome="ok", cached=cached)


def _stage(event: Event) -> dict[str, Any]:
    told = {
        "situacao": event.outcome,
        "origem": event.source,
        "idade_s": event.age_s,
        "obtido_em": event.fetched,
        "duracao_ms": event.duration_ms,
        "dados": event.data,
    }
    return {name: value for name, value in told.items() if value is not UNSET}


def hit(
    kind: Kind,
    wanted: Sequence[Stage],
    entries: Entries,
    purpose: str | None = None,
    legal_basis: str | None = None,
) -> list[Event] | None:
    """All events of a lookup the cache can answer whole; None if it cannot.

    It can when each stage is fresh, and the analysis stands that was made of just these answers.
    """
    moment = time.time()
    stages = []
    for stage in wanted:
        entry = entries.get(stage)
        if entry is None or not entry.is_fresh(moment):
            return None
        stages.append(from_cache(stage, entry))
    kept = entries.get(analysis_field(wanted))
    if kept is None or kept.data["base"] != {stage.type: stage.fetched for stage in stages}:
        return None
    analysis = Event(
        type="analysis", timestamp=now(), data=kept.data["analise"], outcome="ok", cached=True
    )
    return [
        started(kind, wanted, purpose, legal_basis),
        *stages,
        analysis,
        completed(kind, stages, kept.data["analise"]),
    ]
