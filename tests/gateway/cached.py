"""Whole answers for the cache, told apart by a number, and gateways that are pressed for them."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from shared.app import CACHE
from shared.cache import Cache, Entries
from shared.messages import instant
from shared.reporter import event
from shared.results import analysis_entry, analysis_field, to_cache
from shared.settings import Secret
from shared.store import Store
from shared.tasks import end
from tests.gateway.gateways import PATIENCE, Gateway

# After so long an answer that was replaced is given to nobody whose request begins then.
PROMISED_S = 0.1


def cep(number: int) -> dict[str, str]:
    """The body of a lookup: each number is another subject."""
    return {"identificador": f"{20_000_000 + number:08}", "tipo": "cep"}


def entries(number: int, lifetime: float = 3600) -> Entries:
    """The answer of this number, fresh for so many seconds."""
    told = event("endereco", {"cep": "01001000", "numero": number}, "ok")
    # As if each had been asked for at another moment, however fast they are written.
    told.source, told.fetched = "test", instant(time.time() - 1 + (number % 1000) / 1e6)
    found = to_cache([told], {"endereco": lifetime + 1}, 3600)
    analysis = analysis_entry([told], event("analysis", {"achados": []}, "ok"))
    assert analysis is not None
    return {**found, analysis_field(["endereco"]): analysis}


async def fill(
    store: Store, gateway: Gateway, body: dict[str, str], number: int, lifetime: float = 3600
) -> None:
    """Write an answer as another process does. The gateway tells the digest."""
    digest = gateway.app[CACHE].digest("cep", body["identificador"])
    # The digest is all that the secret is for.
    await Cache(store, Secret("")).write("cep", digest, entries(number, lifetime))


async def number_of(gateway: Gateway, body: dict[str, str]) -> int | None:
    """The number of the cached answer; None if there is none, or nobody knows."""
    status, answer = await gateway.json("POST", "/api/consultas", body)
    if status != 200:
        return None
    found: int = answer["resultado"]["etapas"]["endereco"]["dados"]["numero"]
    return found


@dataclass
class Press:
    """Presses gateways for one subject while its answer is being replaced.

    An old answer is wrong where its request began later than the lease after the call that
    replaced it had returned.
    """

    gateways: list[Gateway]
    body: dict[str, str]
    old: int
    # When the call that replaced it had returned, in the loop's seconds.
    returned: float = float("inf")
    # How often each gateway has given the old one.
    given: Counter[str] = field(default_factory=Counter)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._press(one)) for one in self.gateways]
        return self

    async def is_ready(self) -> None:
        """Every gateway has read the answer once, and given it from memory since then."""
        async with asyncio.timeout(PATIENCE):
            while any(self.given[one.url] < 3 for one in self.gateways):
                await asyncio.sleep(0.005)

    async def __aexit__(self, *_: object) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*self._tasks)
        finally:
            await end(self._tasks)

    def replaced(self, after: float = 0.0) -> None:
        """The call has just returned, or what it began is over after so many seconds."""
        self.returned = asyncio.get_running_loop().time() + after

    async def _press(self, gateway: Gateway) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            number = await number_of(gateway, self.body)
            if began > self.returned + PROMISED_S:
                assert number != self.old, f"{began - self.returned:.3f} s after"
                return
            self.given[gateway.url] += number == self.old
            await asyncio.sleep(0.005)
