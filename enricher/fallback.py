"""What a stage can say though no provider answered: old data, or what another stage knows.

Either is `degradado`, with where it is from and how old it is.
"""

from dataclasses import dataclass

from enricher.failures import Blocked, Failure, NotFound
from enricher.reference import Reference, is_reference
from shared.cache import Cache, Entry
from shared.errors import StoreUnavailable
from shared.lookups import Lookups
from shared.messages import Event, StageRequested, decode_event, now


@dataclass(frozen=True)
class Fallback:
    """Where to look, once the providers have been asked in vain."""

    cache: Cache
    lookups: Lookups
    reference: Reference

    async def find(self, order: StageRequested, failure: Failure) -> Event | None:
        """The degraded answer; None where there is none, or the failure is an answer itself."""
        if isinstance(failure, Blocked) or (isinstance(failure, NotFound) and failure.confirmed):
            return None
        try:
            return await self._stale(order) or await self._registered(order)
        except StoreUnavailable:
            return None

    async def _stale(self, order: StageRequested) -> Event | None:
        """The subject's own data of an earlier time, or that of its CEP."""
        entry = (await self.cache.read(order.kind, order.digest)).get(order.stage)
        if not _is_data(entry) and is_reference(order):
            entry = await self.reference.entry(order.inputs[0])
        if entry is None or not _is_data(entry):
            return None
        return _degraded(order, entry, cached=True)

    async def _registered(self, order: StageRequested) -> Event | None:
        """A company's address as its registration has it: in this flight's log, it came first."""
        if not is_reference(order):
            return None
        events = map(decode_event, await self.lookups.log(order.flight))
        known = next((event for event in events if event.type == "cadastro" and event.data), None)
        if known is None or not (address := known.data.get("endereco")):
            return None
        entry = Entry(
            data=address,
            source=str(known.source or "cadastro"),
            fetched=str(known.fetched or known.timestamp),
            fresh_until=0,
        )
        return _degraded(order, entry, cached=known.cached)


def _is_data(entry: Entry | None) -> bool:
    return entry is not None and entry.outcome == "ok"


def _degraded(order: StageRequested, entry: Entry, *, cached: bool) -> Event:
    return Event(
        type=order.stage, timestamp=now(), data=entry.data, outcome="degradado",
        source=entry.source, age_s=entry.age(), fetched=entry.fetched, cached=cached,
    )  # fmt: skip
