"""A provider that does what a test says, and the terms to ask it on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, cast

from enricher.call import Terms
from enricher.permits import Permits
from enricher.providers.base import Access, Answer, Provider, Query
from shared.limits import Limit, Limiter, Permit
from shared.records import Address
from shared.settings import Secret

QUERY = Query("endereco", "cep", "01001000", "request")
ANSWER = Answer(Address(cep="01001000", city="São Paulo", state="SP"))

Act = Callable[[], Awaitable[Answer]]


class Scripted(Provider):
    """Raises or returns, call by call, what it was given; then answers."""

    name = "scripted"
    serves: ClassVar = {("endereco", "cep"): 10}

    def __init__(
        self,
        outcomes: Iterable[Exception | Answer] = (),
        *,
        latency: float = 0.0,
        name: str = "scripted",
        act: Act | None = None,
    ) -> None:
        access = Access("http://127.0.0.1:1", Secret(""))
        super().__init__(access, cast("Any", None))
        self.__dict__["name"] = name
        self._outcomes, self._latency, self._act = iter(outcomes), latency, act
        # Loop times of the calls.
        self.calls: list[float] = []

    async def fetch(self, query: Query) -> Answer:
        self.calls.append(asyncio.get_running_loop().time())
        if self._act is not None:
            return await self._act()
        if self._latency:
            await asyncio.sleep(self._latency)
        outcome = next(self._outcomes, ANSWER)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def always() -> bool:
    return True


async def never_before(_: str) -> str:
    """No provider that bills was called before."""
    return "mark"


async def forgotten(_: str, __: str) -> None:
    """Nor has this one been."""


def terms(deadline: float = 60.0, *, alone: bool = False) -> Terms:
    return Terms(deadline, always, alone=alone)


def permits(told: list[float] | None = None) -> Permits:
    """Permits of an unlimited queue; `told` hears how long a wait will take."""

    async def on_wait(seconds: float) -> None:
        if told is not None:
            told.append(seconds)

    limiter = Limiter(cast("Any", None))
    clock = asyncio.get_running_loop().time
    return Permits(limiter, Permit(Limit("")), on_wait, never_before, forgotten, clock)
