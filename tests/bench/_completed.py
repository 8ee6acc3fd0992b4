"""Count the lookups that end, as the services count them."""

import asyncio
import re
from typing import Final, Self

from tests.bench._ask import session
from tests.services import Services

# Longer than any step of a benchmark, so that one that stands still fails.
_STANDSTILL_S: Final = 120.0
_LOOK_S: Final = 0.1
# Who writes the last event down: the analysis's service, or whoever plans what needs none.
_ENDING: Final = ("analyzer", "gateway", "cache_service")
_ENDED: Final = re.compile(
    r'^consulta_lookups_total\{.*outcome="completo".*\} (\S+)$', re.MULTILINE
)


class Completed:
    """Lookups that have ended in `completo` since the block began; a hit is none."""

    def __init__(self, services: Services) -> None:
        self._pages = [services.ops(name, "/metrics") for name in _ENDING]
        self._http = session()
        self._before = 0
        self.number = 0

    async def __aenter__(self) -> Self:
        self._before = await self._read()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def look(self) -> int:
        """How many there are now."""
        self.number = await self._read() - self._before
        return self.number

    async def reaches(self, wanted: int) -> int:
        """Wait until there are so many; fails where there is no more for two minutes."""
        loop = asyncio.get_running_loop()
        moved = loop.time()
        while (before := self.number) < wanted:
            if await self.look() > before:
                moved = loop.time()
            elif loop.time() > moved + _STANDSTILL_S:
                raise TimeoutError(f"{self.number} of {wanted} lookups have ended")
            await asyncio.sleep(_LOOK_S)
        return self.number

    async def _read(self) -> int:
        number = 0.0
        for page in self._pages:
            async with self._http.get(page) as answer:
                number += sum(map(float, _ENDED.findall(await answer.text())))
        return round(number)
