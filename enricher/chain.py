"""One stage: its providers in turn, then what the cache still has, then what can be said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from enricher.breaker import CircuitOpen
from enricher.call import Guarded, Wanted
from enricher.failures import (
    BadCredential,
    Blocked,
    Challenged,
    Failure,
    NotConfigured,
    NotFound,
    RateLimited,
)
from enricher.permits import OutOfQuota, OutOfTime, Permits
from enricher.providers.base import Answer, Query
from shared.cache import Entry
from shared.messages import Attempt, Event, Outcome, Stage, now


@dataclass
class Chain:
    """The providers of one stage and kind of input, in the order they are asked."""

    stage: Stage
    links: Sequence[Guarded]
    attempts: list[Attempt] = field(default_factory=list)

    async def ask(
        self, query: Query, permits: Permits, *, deadline: float, wanted: Wanted
    ) -> tuple[Answer, str] | Failure:
        """The first answer with its provider's name, or the failure that says most."""
        failures: list[Failure] = []
        ready = [link for link in self.links if link.provider.is_configured]
        if not ready:
            return NotConfigured("no provider is configured")
        for place, link in enumerate(ready):
            alone = place == len(ready) - 1
            try:
                answer = await link.ask(
                    query, permits, deadline=deadline, alone=alone, wanted=wanted
                )
            except Failure as failure:
                self.attempts.append(Attempt(link.provider.name, failure.reason))
                self._learn(link, failure)
                if isinstance(failure, Blocked | OutOfTime) or (
                    isinstance(failure, NotFound) and failure.confirmed
                ):
                    return failure
                failures.append(failure)
            else:
                return answer, link.provider.name
        return max(failures, key=_weight)

    def _learn(self, link: Guarded, failure: Failure) -> None:
        if isinstance(failure, RateLimited):
            link.breaker.pause(failure.retry_after, failure.reason)
        elif isinstance(failure, BadCredential | Challenged):
            link.breaker.trip(failure.reason)


def answered(stage: Stage, answer: Answer, provider: str) -> Event:
    """A stage a provider answered just now."""
    moment = now()
    data = msgspec.to_builtins(answer.record)
    return Event(
        type=stage, timestamp=moment, data=data, outcome="ok", source=provider, age_s=0,
        fetched=moment,
    )  # fmt: skip


def fallen_back(stage: Stage, failure: Failure, stale: Entry | None, provider: str) -> Event:
    """A stage no provider answered: stale data with its age if there is any, else the reason."""
    if stale is not None and not (isinstance(failure, NotFound) and failure.confirmed):
        return Event(
            type=stage, timestamp=now(), data=stale.data, outcome="degradado",
            source=stale.source, age_s=stale.age(), fetched=stale.fetched, cached=True,
        )  # fmt: skip
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
        case OutOfTime():
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
