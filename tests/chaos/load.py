"""A load of lookups, asked for over HTTP and on the bus, while something befalls the stack."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import pytest

from shared.stages import POSSIBLE
from tests.chaos.asked import Asked
from tests.chaos.foreign import Foreign
from tests.chaos.web import Web
from tests.subjects import mixed

# How many lookups each kill meets, and how often each fault has its turn.
LOOKUPS: Final = int(os.environ.get("CHAOS_LOOKUPS", "60"))
ROUNDS: Final = int(os.environ.get("CHAOS_ROUNDS", "1"))
# How many the other faults meet: there are more of them than of kills,
HALF: Final = max(min(LOOKUPS, 60), LOOKUPS // 2)
# and a row that mostly waits for deadlines.
FEW: Final = 34 + LOOKUPS // 10
# More than any outage takes.
LONG_S: Final = 300.0
# Enough for the work of twice as many on two cores, and little to wait for.
SHORT_S: Final = 8 + FEW / 20
# Far more than a load takes, far less than LONG_S.
PATIENCE_S: Final = 90 + LOOKUPS / 5

_starts = itertools.count(100_000_000, 500_000)


def make(number: int, seconds: float, *, shared: bool = False) -> list[Asked]:
    """Lookups of every kind that nobody asked for before, over the gateway and on the bus in turn.

    Every fifth is of a person, with the registration, which a provider bills.

    Args:
        number: how many.
        seconds: what each may take.
        shared: whether every tenth subject is asked for by two.
    """
    load = [
        Asked(kind, identifier, "bus" if place % 2 else "web", seconds)
        for place, (kind, identifier) in enumerate(mixed(number, next(_starts)))
    ]
    for asked in load[2::5]:
        asked.stages = [*POSSIBLE["cpf"]]
    if shared:
        for first, second in zip(load[::10], load[1::10], strict=False):
            second.kind, second.identifier = first.kind, first.identifier
    return load


@dataclass
class Askers:
    """Those who ask, each at the end of a line of its own."""

    web: Web
    foreign: Foreign
    http: aiohttp.ClientSession

    async def endure(
        self,
        load: Sequence[Asked],
        outage: AbstractAsyncContextManager[None],
        over: Callable[[], bool] | None = None,
    ) -> None:
        """Ask for half, have the outage in the middle of it, ask for the rest; until all are over.

        Args:
            over: whether the outage has lasted long enough; else until each of the rest met it.
        """
        half = len(load) // 2
        async with self.asking() as ask:
            ask(load[:half])
            await in_the_middle(load[:half])
            async with outage:
                ask(load[half:])
                await until(over or (lambda: all(asked.tried for asked in load)))

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Callable[[Sequence[Asked]], None]]:
        """Gives what asks for lookups; the block ends once all of those are over."""
        load: list[Asked] = []

        def ask(part: Sequence[Asked]) -> None:
            load.extend(part)
            for asked in part:
                asker = self.foreign if asked.way == "bus" else self.web
                group.create_task(asker.lookup(asked))

        try:
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                yield ask
        except TimeoutError:
            pytest.fail(_open(load))


@asynccontextmanager
async def askers(amqp_url: str, gateway: str) -> AsyncIterator[Askers]:
    """Connect them."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
        Foreign(amqp_url) as foreign,
    ):
        yield Askers(Web(http, gateway), foreign, http)


async def in_the_middle(load: Sequence[Asked]) -> None:
    """Wait until some have heard of a stage, while providers are being asked for most."""
    await until(lambda: sum(asked.has_an_answer for asked in load) >= len(load) // 6)
    running = sum(bool(asked.task_id) and not asked.is_complete for asked in load)
    assert running >= len(load) // 4, "too few were under way to prove anything"


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the askers see."""
    while not holds():
        await asyncio.sleep(0.01)


def _open(load: Sequence[Asked]) -> str:
    """Which lookups have not ended, for whoever reads the failure."""
    lines = [
        f"{place} {asked.kind} {asked.task_id or 'not accepted'}: events {sorted(asked.events)}"
        for place, asked in enumerate(load)
        if not asked.is_over
    ]
    return "\n".join([f"{len(lines)} of {len(load)} lookups have not ended:", *lines[:20]])
