"""One stage: its providers in turn, and what their answers and failures make of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import msgspec
from msgspec.structs import replace

from enricher.call import Guarded, Latest, Terms, Wanted
from enricher.failures import (
    Blocked,
    CircuitOpen,
    CutShort,
    Failure,
    NotConfigured,
    NotFound,
    OutOfQuota,
    OutOfTime,
    RateLimited,
    recalled,
)
from enricher.hedge import Asked, hedged
from enricher.permits import Permits
from enricher.providers.base import Answer, Query
from shared.consumer import PutOff
from shared.messages import Attempt, Event, Outcome, Stage, now


@dataclass
class Chain:
    """The providers of one stage and kind of input, in the order they are asked."""

    stage: Stage
    links: Sequence[Guarded]
    hedging: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    async def ask(
        self,
        query: Query,
        permits: Permits,
        *,
        deadline: float,
        wanted: Wanted,
        latest: Latest | None = None,
    ) -> tuple[Answer, str] | Failure:
        """The first answer with its provider's name, or the failure that says most.

        Raises:
            PutOff: the next call has to wait; `attempts` are those asked in vain until then.
        """
        configured = [link for link in self.links if link.provider.is_configured]
        if not configured:
            return NotConfigured("no provider is configured")
        asked: Asked = {before.provider: recalled(before.reason) for before in self.attempts}
        ready = [link for link in configured if link.provider.name not in asked]
        for link, following in zip_longest(ready, ready[1:]):
            if link.provider.name in asked:
                continue
            terms = Terms(deadline, wanted, latest, alone=following is None)
            outcome, by, tried = await self._one(link, following, query, permits, terms)
            deadline = terms.deadline
            asked |= tried
            for name, failure in tried.items():
                self.attempts.append(Attempt(name, failure.reason))
            if isinstance(outcome, PutOff):
                raise outcome
            if isinstance(outcome, Answer):
                return outcome, by.provider.name
            if outcome.final:
                return outcome
        return max(asked.values(), key=_weight)

    async def _one(
        self,
        link: Guarded,
        following: Guarded | None,
        query: Query,
        permits: Permits,
        terms: Terms,
    ) -> tuple[Answer | Failure | PutOff, Guarded, Asked]:
        bills = link.provider.billed or (following is not None and following.provider.billed)
        if self.hedging and following is not None and not bills:
            return await hedged(link, following, query, permits, terms)
        try:
            return await link.ask(query, permits, terms), link, {}
        except Failure as failure:
            return failure, link, {link.provider.name: failure}


def answered(stage: Stage, answer: Answer, provider: str) -> Event:
    """A stage a provider answered just now."""
    moment = now()
    data = msgspec.to_builtins(replace(answer.record, updated=answer.source_date))
    return Event(
        type=stage, timestamp=moment, data=data, outcome="ok", source=provider, age_s=0,
        fetched=moment,
    )  # fmt: skip


def unanswered(stage: Stage, failure: Failure, provider: str) -> Event:
    """A stage no provider answered, and why; `provider` is the one that was asked last."""
    event = Event(type=stage, timestamp=now(), outcome=_outcome(failure))
    if isinstance(failure, NotFound):
        event.source, event.fetched = provider, event.timestamp
    return event


def _outcome(failure: Failure) -> Outcome:
    match failure:
        case NotFound(confirmed=True):
            return "nao_encontrado"
        case NotFound():
            return "nao_confirmado"
        case Blocked():
            return "bloqueado"
        case NotConfigured():
            return "nao_configurado"
        case OutOfTime() | CutShort():
            return "expirado"
        case RateLimited() | OutOfQuota() | CircuitOpen(cause="rate_limited"):
            return "limitado"
        case _:
            return "indisponivel"


def _weight(failure: Failure) -> int:
    """Of several failures, the one that tells the asker most: a possible absence, a limit."""
    if isinstance(failure, NotFound):
        return 2
    return 1 if _outcome(failure) == "limitado" else 0
