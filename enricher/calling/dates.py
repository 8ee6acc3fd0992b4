"""From when a public registry's data is, where it tells that by a call of its own.

The date is the same for all its answers and changes once a month, so it is cached. It is an extra:
an answer without it is none the worse.
"""

from functools import partial
from typing import Final

from enricher.call import Wanted
from enricher.calling.extra import Extra, soon
from enricher.failures import Failure, NotCalled
from enricher.providers.minhareceita import MinhaReceita
from enricher.reference import HOLD_S
from shared.cache import Cache
from shared.cached import cached

# Seconds a date is taken for the latest one, and its absence for a fact.
_TTL: Final = 6 * 3600.0


class Dates:
    """Knows the dates of the registries' data. `extra` is how Minha Receita is asked."""

    def __init__(self, cache: Cache, minhareceita: MinhaReceita, extra: Extra) -> None:
        self._minhareceita, self._extra = minhareceita, extra
        self._updated = cached(cache, "fonte", "atualizado_em", ttl=_TTL, hold=HOLD_S)(self._fetch)

    async def of(self, provider: str, wanted: Wanted) -> str | None:
        """The date (YYYY-MM-DD) of what this provider answers, as far as it is to be had.

        Args:
            wanted: whether anybody waits for it, should it have to be asked for.
        """
        if provider != self._minhareceita.name:
            return None
        found: str | None = await soon(partial(self._updated, provider), wanted)
        return found

    async def _fetch(self, _: str, wanted: Wanted) -> str | None:
        try:
            return await self._extra.call(self._minhareceita.updated, wanted)
        except NotCalled:
            raise
        except Failure:
            # Remembered like a date: not to be asked again, in vain, with each lookup.
            return None
