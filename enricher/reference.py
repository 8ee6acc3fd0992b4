"""Reference data on the way to a stage: the address of a CEP, the cities of an area code.

It is the same for everybody who needs it, so it is cached under its own identifier. It is an
extra: without it a stage has less to say, and fails no lookup.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from enricher.call import Wanted
from enricher.calling.extra import Extra, soon
from enricher.providers.brasilapi import BrasilApi
from shared.cache import Cache, Entries, Entry, kept
from shared.cached import cached
from shared.errors import StoreUnavailable
from shared.messages import Event, StageRequested
from shared.records import Phone, Phones
from shared.results import from_cache
from shared.store.record import Kept

log = logging.getLogger(__name__)

# Seconds for which a process does not look again what every lookup needs: whoever removes it from
# the cache has to wait so long until nobody uses it.
HOLD_S: Final = 10.0


class Reference:
    """What one enricher knows of addresses and area codes."""

    def __init__(self, cache: Cache, brasilapi: BrasilApi, extra: Extra) -> None:
        self._cache = cache
        self._brasilapi, self._extra = brasilapi, extra
        self._cities: Callable[..., Awaitable[Any]] = cached(cache, "ddd", "cidades", hold=HOLD_S)(
            self._fetch_cities
        )

    async def address(self, cep: str) -> Event | None:
        """The stage `endereco` of a CEP, if some lookup has fetched it lately."""
        try:
            entry = await self.entry(cep)
        except StoreUnavailable:
            return None
        if entry is None or not entry.is_fresh():
            return None
        event = from_cache("endereco", entry)
        # Not from this subject's cache, which is to learn it.
        event.cached = False
        return event

    async def entry(self, cep: str) -> Entry | None:
        """The same, fresh or stale. Raises StoreUnavailable."""
        return await self._cache.get("cep", cep, "endereco")

    def kept(self, cep: str, entries: Entries) -> Kept:
        """What a provider told of a CEP, to be remembered under the CEP as well."""
        return kept("cep", self._cache.digest("cep", cep), entries)

    async def located(self, numbers: list[Phone], wanted: Wanted) -> Phones:
        """The numbers with the cities of their area codes, as far as those are to be had.

        Args:
            wanted: whether anybody waits for them, should they have to be asked for.
        """
        states, cities = {}, {}
        for code in sorted({number.area_code for number in numbers}):
            if (place := await self._place(code, wanted)) is not None:
                states[code], cities[code] = place
        found = [
            replace(number, state=states.get(number.area_code, number.state)) for number in numbers
        ]
        return Phones(numbers=found, cities=cities)

    async def _place(self, area_code: str, wanted: Wanted) -> tuple[str, list[str]] | None:
        # Numbers such as 0800 are nowhere.
        if not self._brasilapi.is_configured or not area_code:
            return None
        found: tuple[str, list[str]] | None = await soon(partial(self._cities, area_code), wanted)
        return found

    async def _fetch_cities(self, area_code: str, wanted: Wanted) -> tuple[str, list[str]]:
        return await self._extra.call(lambda: self._brasilapi.cities(area_code), wanted)


def is_reference(order: StageRequested) -> bool:
    """Whether an address is looked up on the way to something else: many companies share a CEP."""
    return order.stage == "endereco" and order.kind != order.input_kind == "cep"
